-- ROW_NUMBER, RANK and DENSE_RANK with an upper end: rows that tie, rows that are there twice, nulls among keys and values.
CREATE STREAM s (k TEXT, v INT, w TEXT);
INSERT INTO s VALUES ('a', 5, 'x'), ('a', 7, 'y'), ('b', 1, 'z'), ('a', 7, 'x'), ('a', NULL, 'n'), ('b', 1, 'z'), (NULL, 3, 'q'),
  ('b', 4, 'y'), ('a', 2, NULL), ('b', NULL, NULL), ('c', 9, 'm'), (NULL, 3, 'p'), ('a', 7, 'y'), ('c', -1, 'm');
SELECT k, v, w, rn FROM (SELECT k, v, w, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM s) WHERE rn <= 3;
SELECT k, v, w, r FROM (SELECT k, v, w, rank() OVER (PARTITION BY k ORDER BY v DESC) AS r FROM s) WHERE r <= 2;
SELECT k, v, w, r FROM (SELECT k, v, w, dense_rank() OVER (PARTITION BY k ORDER BY v DESC) AS r FROM s) WHERE r <= 2;
-- Over all rows.
SELECT k, v, w, rn FROM (SELECT *, row_number() OVER (ORDER BY v) AS rn FROM s) WHERE rn <= 4;
SELECT k, v, r FROM (SELECT *, rank() OVER (ORDER BY v) AS r FROM s) WHERE r <= 4;
SELECT k, v, r FROM (SELECT *, dense_rank() OVER (ORDER BY v) AS r FROM s) WHERE r <= 4;
-- Without an order every row ties: rank() is 1 for all, row_number() goes by value.
SELECT k, v, rn FROM (SELECT k, v, row_number() OVER (PARTITION BY k) AS rn FROM s) WHERE rn < 3;
SELECT k, v, r FROM (SELECT k, v, rank() OVER () AS r FROM s) WHERE r <= 1;
