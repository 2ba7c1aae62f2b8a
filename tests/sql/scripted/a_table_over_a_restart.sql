-- Changes of a table are made once, however often the engine begins again.
CREATE TABLE stock (item TEXT, n BIGINT, PRIMARY KEY (item));
CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS n FROM stock;
INSERT INTO stock VALUES ('book', 3), ('lamp', 5);
UPDATE stock SET n = n + 1;
-- RESTART KILL
SELECT * FROM stock ORDER BY item;
-- item | n
-- book | 4
-- lamp | 6
SELECT * FROM total;
-- n
-- 10

UPDATE stock SET n = n * 10 WHERE item = 'book';
DELETE FROM stock WHERE item = 'lamp';
-- RESTART
SELECT * FROM stock;
-- item | n
-- book | 40
SELECT * FROM total;
-- n
-- 40
