-- unnest of arrays: one row for each element; empty and null arrays give none.
CREATE STREAM s (id INT, xs INT[], words TEXT[]);
INSERT INTO s VALUES (1, [10, 20, 10], ['a', NULL]), (2, [], ['b']), (3, NULL, NULL), (4, [30], ['c', 'd', 'e']);
SELECT id, unnest(xs) AS x FROM s;
SELECT unnest(words) AS word, id FROM s;
SELECT x, count(*) AS n FROM (SELECT unnest(xs) AS x FROM s) GROUP BY x;
SELECT id, cardinality(xs) AS n, xs[1] AS first, array_to_string(words, '+') AS w FROM s;
