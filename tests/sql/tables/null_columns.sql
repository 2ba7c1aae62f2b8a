-- Nulls in all columns but the key; columns that are not read; NOT NULL columns.
CREATE TABLE t (a TEXT, k TEXT, b BIGINT NOT NULL, xs INT[], PRIMARY KEY (k));
INSERT INTO t VALUES (NULL, 'x', 1, NULL), ('', '', 2, ARRAY[1, NULL]), (NULL, 'y', 3, ARRAY[]);
UPDATE t SET a = NULL, xs = NULL WHERE k = '';
UPDATE t SET a = 'now' WHERE k = 'y';
DELETE FROM t WHERE a IS NULL AND b < 2;
SELECT * FROM t;
SELECT a FROM t;
SELECT count(*) AS n FROM t;
SELECT k, unnest(xs) AS x FROM t;
