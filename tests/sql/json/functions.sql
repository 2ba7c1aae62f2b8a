-- JSON in text columns: keys that are missing, nulls, values of other types, text that is no JSON.
CREATE STREAM s (id INT, j TEXT);
INSERT INTO s VALUES
  (1, '{"user": {"name": "ann", "age": 7, "tags": ["x", "y"]}, "ok": true, "score": 1.5}'),
  (2, '{"user": {"name": null, "age": "old", "tags": []}, "ok": "yes"}'),
  (3, '{"user": 5}'),
  (4, '{"user": {"name": "bo"'),
  (5, 'no json'),
  (6, NULL),
  (7, '[{"n": 1}, {"n": 2}, [3, 4]]');
SELECT id, j -> 'user' AS u, j -> 'user' ->> 'name' AS name, j -> 'user' -> 'tags' -> 0 AS tag, j -> 'user' -> 'tags' ->> 1 AS other FROM s;
SELECT id, json_get(j, 'user', 'age') AS any, json_get_int(j, 'user', 'age') AS age, json_get_str(j, 'user', 'age') AS text FROM s;
SELECT id, json_get_bool(j, 'ok') AS ok, json_get_float(j, 'score') AS score, json_as_text(j, 'ok') AS shown FROM s;
SELECT id, json_length(j) AS n, json_length(j, 'user', 'tags') AS tags, json_contains(j, 'user') AS has, json_object_keys(j) AS keys FROM s;
SELECT id, j -> 0 ->> 'n' AS first, j -> 2 -> 1 AS nested, json_get_array(j) AS elements FROM s;
SELECT id, CAST(j -> 'user' ->> 'age' AS INT) AS age FROM s WHERE id IN (1, 3, 7);
SELECT j -> 'user' ->> 'name' AS name, count(*) AS n FROM s GROUP BY j -> 'user' ->> 'name';
SELECT s.id, u.e ->> 'n' AS n FROM s CROSS JOIN UNNEST(json_get_array(s.j)) AS u(e);
SELECT id FROM s WHERE (j ->> 'ok') = 'true';
SELECT id FROM s WHERE j ->> 'ok' = 'yes';
SELECT id, j #>> ['user', 'name'] AS name, (j #> ['user', 'tags'])::TEXT AS tags, j -> 'user' -> 'age' || '!' AS shouted FROM s;
