-- Groups over a table lose rows, get others, and vanish.
CREATE TABLE t (id INT PRIMARY KEY, g TEXT, v BIGINT) WITH (partitions = 2);
INSERT INTO t VALUES (1, 'a', 10), (2, 'a', 20), (3, 'b', 30), (4, 'c', 40), (5, NULL, 50), (6, 'a', 20);
UPDATE t SET g = 'b' WHERE id = 1;
UPDATE t SET v = 5 WHERE id = 3;
DELETE FROM t WHERE id = 4;
DELETE FROM t WHERE id = 2;
SELECT g, count(*) AS n, min(v) AS lo, max(v) AS hi, sum(v) AS s, count(DISTINCT v) AS d FROM t GROUP BY g;
SELECT min(v) AS lo, max(v) AS hi, avg(v) AS mean FROM t;
SELECT n, count(*) AS groups FROM (SELECT g, count(*) AS n FROM t GROUP BY g) GROUP BY n;
SELECT array_agg(v ORDER BY id) AS vs, string_agg(g, ',' ORDER BY id) AS gs FROM t;
SELECT g, v, count(*) AS n FROM t GROUP BY ROLLUP (g, v);
SELECT v FROM t UNION ALL SELECT id FROM t WHERE g = 'b';
