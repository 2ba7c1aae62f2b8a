-- Maps and structs: made, kept in a stream, taken apart, as group keys, in joins and rankings, inside arrays.
CREATE STREAM s (id INT, k TEXT, v INT) WITH (connector = 'file', path = 'tests/sql/data/maps.csv', format = 'csv');
CREATE STREAM kept AS SELECT id, MAP {'v': v, 'id': id} AS m, named_struct('k', k, 'm', MAP {'v': v}) AS st FROM s;
SELECT id, m, st FROM kept;
SELECT id, m['v'] AS v, m['none'] AS none, st['k'] AS k, st['m']['v'] AS inner_v, map_keys(m) AS ks, map_values(m) AS vs, cardinality(m) AS n FROM kept;
SELECT st['k'] AS k, sum(m['v']) AS v, count(*) AS n FROM kept GROUP BY st['k'];
SELECT MAP {'k': k} AS m, count(*) AS n FROM s GROUP BY MAP {'k': k};
SELECT DISTINCT named_struct('k', k, 'v', v) AS st FROM s;
SELECT k, array_agg(MAP {'v': v} ORDER BY id) AS ms FROM s GROUP BY k;
SELECT k, first_value(MAP {'v': v} ORDER BY id) AS m FROM s GROUP BY k;
SELECT a.id, b.id AS other, a.m FROM kept a JOIN kept b ON a.st['k'] = b.st['k'] WHERE a.id < b.id;
SELECT a.id, b.id AS other FROM kept a LEFT JOIN kept b ON a.st = b.st AND a.id < b.id;
SELECT id, m FROM kept ORDER BY m['v'] DESC NULLS LAST, id LIMIT 2;
SELECT id, m, st FROM kept UNION SELECT id, m, st FROM kept;
