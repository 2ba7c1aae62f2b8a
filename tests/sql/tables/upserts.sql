-- A row is inserted or replaced by its key, updated, deleted; a table shows what is left.
CREATE TABLE t (k BIGINT, name TEXT, x DOUBLE, PRIMARY KEY (k)) WITH (partitions = 3);
INSERT INTO t VALUES (1, 'a', 1.5), (2, 'b', 2.5), (3, 'c', NULL), (2, 'bb', 3.5);
INSERT INTO t (name, k) VALUES ('d', 4), ('e', 5);
INSERT INTO t SELECT k + 10, upper(name), x FROM (VALUES (1, 'x', 0.5), (2, 'y', 1.5)) AS v (k, name, x);
UPDATE t SET x = x * 2, name = name || '!' WHERE k <= 2;
DELETE FROM t WHERE name = 'd';
DELETE FROM t WHERE k IN (12, 99);
INSERT INTO t VALUES (4, 'again', 0);
SELECT * FROM t;
SELECT name, x FROM t WHERE x > 1;
SELECT count(*) AS n, count(x) AS xs, sum(x) AS s FROM t;
SELECT DISTINCT x IS NULL AS no_x FROM t;
SHOW TABLES;
DESCRIBE t;
EXPLAIN SELECT name FROM t WHERE x > 1;
