-- Rows that only come, in a table: of each key the last one counts.
CREATE STREAM s (k INT, v TEXT);
INSERT INTO s VALUES (1, 'a'), (2, 'b'), (1, 'c'), (3, NULL), (2, 'd');
CREATE TABLE latest (PRIMARY KEY (k)) AS SELECT k, v FROM s;
CREATE TABLE typed (key BIGINT PRIMARY KEY, v TEXT NOT NULL) AS SELECT k, coalesce(v, '-') FROM s WHERE k > 1;
CREATE TABLE sink (k INT PRIMARY KEY, v TEXT, w TEXT);
INSERT INTO sink (v, k) SELECT v, k FROM s;
SELECT * FROM latest;
SELECT * FROM typed;
SELECT * FROM sink;
DESCRIBE typed;
