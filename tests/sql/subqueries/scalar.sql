-- Subqueries that stand for one value: none of no row, an error at the second row.
CREATE STREAM s (k TEXT, v INT);
CREATE STREAM t (id INT, name TEXT);
INSERT INTO s VALUES ('a', 1), ('a', 2), ('b', 3), (NULL, 4), ('c', NULL);
INSERT INTO t VALUES (1, 'one'), (2, 'two'), (4, NULL);
SELECT k, v FROM s WHERE v > (SELECT avg(v) FROM s);
SELECT k, v, (SELECT max(id) FROM t) AS top, (SELECT count(*) FROM t WHERE id > 100) AS none FROM s;
-- A comparison with no row is unknown, so nothing passes.
SELECT k FROM s WHERE coalesce(-4, v) <> (SELECT min(id) FROM t WHERE false);
SELECT k FROM s WHERE CASE WHEN v = 1 THEN 2 END <> (SELECT max(id) FROM t);
SELECT k FROM s WHERE v <> (SELECT id FROM t WHERE name = 'nobody');
SELECT k FROM s WHERE (SELECT id FROM t WHERE name = 'nobody') IS NULL;
SELECT (SELECT id FROM t WHERE name = 'nobody') AS nobody, (SELECT name FROM t WHERE id = 4) AS unnamed;
-- One row, though nothing says so beforehand.
SELECT k, v FROM s WHERE v = (SELECT id FROM t WHERE name = 'two');
SELECT k, (SELECT name FROM t WHERE id = 1) AS one FROM s;
-- Several rows.
SELECT k, (SELECT id FROM t WHERE id < 3) AS several FROM s;
SELECT k FROM s WHERE v = (SELECT id FROM t);
SELECT k FROM s WHERE v = (SELECT id FROM t ORDER BY id DESC LIMIT 1);
SELECT k FROM s WHERE v = (SELECT max(id) FROM t GROUP BY id);
-- In other clauses.
SELECT v % (SELECT max(id) FROM t) AS m, count(*) AS n FROM s GROUP BY v % (SELECT max(id) FROM t);
SELECT k, sum(v * (SELECT max(id) FROM t)) AS total FROM s GROUP BY k;
SELECT k, count(*) AS n FROM s GROUP BY k HAVING count(*) > (SELECT count(*) FROM t WHERE name IS NULL);
SELECT a.k, b.name FROM s AS a LEFT JOIN t AS b ON a.v = b.id AND b.id < (SELECT max(id) FROM t);
SELECT k FROM s WHERE v = 1 OR v = (SELECT max(v) FROM s);
SELECT CASE WHEN v > (SELECT 2) THEN (SELECT max(name) FROM t) ELSE 'small' END AS c FROM s;
WITH top AS (SELECT max(v) AS m FROM s) SELECT k, (SELECT m FROM top) AS a, (SELECT m + 1 FROM top) AS b FROM s WHERE v < (SELECT m FROM top);
-- With columns of the query around them.
SELECT k, v, (SELECT count(*) FROM t WHERE t.id = s.v) AS n, (SELECT max(name) FROM t WHERE t.id = s.v) AS name FROM s;
SELECT k, v FROM s WHERE v = (SELECT max(x.v) FROM s AS x WHERE x.k = s.k);
