-- An unmatched row is taken back when its match comes.
SET step_rows = 1;
CREATE STREAM orders (id BIGINT, item TEXT);
CREATE STREAM payments (id BIGINT, amount DECIMAL(8, 2));
CREATE MATERIALIZED VIEW paid AS
SELECT o.id, count(p.amount) AS payments, sum(p.amount) AS amount
FROM orders o LEFT JOIN payments p ON o.id = p.id GROUP BY o.id;
-- FEED orders
-- id | item
-- 1  | book
-- 2  | lamp
SELECT * FROM paid ORDER BY id;
-- id | payments | amount
-- 1  | 0        | NULL
-- 2  | 0        | NULL

-- FEED payments
-- id | amount
-- 2  | 12.50
-- 2  | 0.49
-- 7  | 1.00
SELECT * FROM paid ORDER BY id;
-- id | payments | amount
-- 1  | 0        | NULL
-- 2  | 2        | 12.99
SELECT o.id, p.amount FROM orders o LEFT JOIN payments p ON o.id = p.id EMIT CHANGES;
-- id | amount
-- 1  | NULL
-- 2  | 0.49
-- 2  | 12.50
