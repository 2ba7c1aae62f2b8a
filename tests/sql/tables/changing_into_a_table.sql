-- INSERT INTO a table from a query whose result changes: it replaces rows, and takes away what it takes back.
CREATE TABLE t (id INT PRIMARY KEY, g TEXT) WITH (partitions = 2);
INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, 'c');
DELETE FROM t WHERE g = 'c';
CREATE TABLE counts (g TEXT PRIMARY KEY, n BIGINT, note TEXT);
INSERT INTO counts (g, n) SELECT g, count(*) FROM t GROUP BY g;
CREATE TABLE pairs (n BIGINT, g TEXT, PRIMARY KEY (n, g));
INSERT INTO pairs SELECT count(*), g FROM t GROUP BY g;
SELECT * FROM counts;
SELECT * FROM pairs;
