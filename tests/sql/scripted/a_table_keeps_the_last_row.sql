-- A table holds the last row of each key; UPDATE and DELETE change it, and what reads it follows.
CREATE TABLE stock (item TEXT, n BIGINT, PRIMARY KEY (item));
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS items, sum(n) AS n FROM stock;
-- FEED stock
-- item | n
-- book | 3
-- lamp | 5
SELECT * FROM total;
-- items | n
-- 2     | 8

INSERT INTO stock VALUES ('book', 10), ('pen', 1);
SELECT * FROM stock ORDER BY item;
-- item | n
-- book | 10
-- lamp | 5
-- pen  | 1
SELECT * FROM total;
-- items | n
-- 3     | 16

UPDATE stock SET n = n - 1 WHERE item <> 'lamp';
DELETE FROM stock WHERE n = 0;
SELECT * FROM stock ORDER BY item;
-- item | n
-- book | 9
-- lamp | 5
SELECT * FROM total;
-- items | n
-- 2     | 14
