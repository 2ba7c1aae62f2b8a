-- A key of several columns, in another order than the columns, and of other types.
CREATE TABLE stock (store TEXT, amount INT, day DATE, item INT, PRIMARY KEY (item, store, day)) WITH (partitions = 4);
INSERT INTO stock VALUES
  ('n', 5, DATE '2024-01-01', 1), ('n', 6, DATE '2024-01-02', 1), ('s', 7, DATE '2024-01-01', 1),
  ('n', 8, DATE '2024-01-01', 2), ('n', 9, DATE '2024-01-01', 1);
UPDATE stock SET amount = amount - 1 WHERE store = 'n' AND item = 1;
UPDATE stock SET store = 'w' WHERE store = 's';
UPDATE stock SET item = item + 1, amount = 0 WHERE day = DATE '2024-01-01' AND store = 'n';
SELECT * FROM stock;
SELECT item, sum(amount) AS amount FROM stock GROUP BY item;
SELECT store, item, max(amount) AS most FROM stock GROUP BY store, item;
