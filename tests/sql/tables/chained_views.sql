-- Materialized views over tables, streams and each other; each is read with and without EMIT, and as a table again.
CREATE TABLE items (id INT PRIMARY KEY, shop TEXT, price BIGINT) WITH (partitions = 2);
INSERT INTO items VALUES (1, 'n', 10), (2, 'n', 20), (3, 's', 30), (4, 'w', 40);
INSERT INTO items VALUES (4, 's', 5), (2, 'e', 25);
DELETE FROM items WHERE id = 1;
CREATE MATERIALIZED VIEW shops WITH (partitions = 3) AS SELECT shop, count(*) AS n, sum(price) AS total FROM items GROUP BY shop;
CREATE TABLE sizes AS SELECT n, count(*) AS shops FROM shops GROUP BY n;
CREATE MATERIALIZED VIEW whole AS SELECT sum(n) AS items, max(total) AS best FROM shops;
CREATE TABLE dear (PRIMARY KEY (shop)) AS SELECT shop, total FROM shops WHERE total > 25 EMIT CHANGES;
SELECT * FROM shops;
SELECT * FROM sizes;
SELECT * FROM whole;
SELECT items, best FROM whole WHERE best > 30;
SELECT * FROM dear;
SELECT sum(total) AS total FROM dear;
DESCRIBE shops;
DESCRIBE dear;
