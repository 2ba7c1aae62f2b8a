-- Rows of a file beside the test; once, also over a restart.
CREATE STREAM parcels (id BIGINT, city TEXT, tags TEXT[], price DECIMAL(8, 2), sent BOOLEAN);
CREATE MATERIALIZED VIEW per_tag AS
SELECT tag, count(*) AS n, sum(price) AS price FROM (SELECT unnest(tags) AS tag, price FROM parcels) GROUP BY tag;
-- FEED parcels FROM rows.jsonl
-- FEED parcels
-- id | city  | tags  | price | sent
-- 4  | O'Fal | ['b'] | 0.10  | true
-- RESTART KILL
SELECT * FROM parcels ORDER BY id;
-- id | city   | tags   | price | sent
-- 1  | Zürich | [a, b] | 1.25  | true
-- 2  | NULL   | []     | NULL  | false
-- 3  | 東京     | [b]    | 99.90 | NULL
-- 4  | O'Fal  | [b]    | 0.10  | true
SELECT * FROM per_tag ORDER BY tag;
-- tag | n | price
-- a   | 1 | 1.25
-- b   | 3 | 101.25
