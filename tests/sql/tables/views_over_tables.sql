-- Views, CTEs and subqueries over tables and streams.
CREATE TABLE t (k INT PRIMARY KEY, g TEXT);
CREATE STREAM s (k INT, g TEXT);
CREATE VIEW big AS SELECT k, g FROM t WHERE k > 1;
INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO s VALUES (2, 'x'), (7, 'y');
UPDATE t SET g = 'z' WHERE k = 3;
SELECT * FROM big;
WITH c AS (SELECT g, count(*) AS n FROM big GROUP BY g) SELECT * FROM c WHERE n > 0;
SELECT * FROM big UNION ALL SELECT * FROM s;
SELECT g FROM (SELECT * FROM big UNION SELECT * FROM s);
