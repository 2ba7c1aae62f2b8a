-- Where nulls stand, which way it goes, and orders by expressions.
CREATE STREAM s (k TEXT, v INT, w TEXT);
INSERT INTO s VALUES ('a', 5, 'x'), ('a', 7, 'y'), ('b', 1, 'z'), ('a', 7, 'x'), ('a', NULL, 'n'), ('b', 1, 'z'), (NULL, 3, 'q'),
  ('b', 4, 'y'), ('a', 2, NULL), ('b', NULL, NULL), ('c', 9, 'm'), (NULL, 3, 'p'), ('a', 7, 'y'), ('c', -1, 'm');
SELECT k, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v ASC NULLS FIRST, w) AS rn FROM s) WHERE rn <= 2;
SELECT k, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v ASC NULLS LAST, w) AS rn FROM s) WHERE rn <= 2;
SELECT k, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC NULLS FIRST, w DESC) AS rn FROM s) WHERE rn <= 2;
SELECT k, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC NULLS LAST, w DESC NULLS LAST) AS rn FROM s) WHERE rn <= 2;
SELECT k, v, r FROM (SELECT *, rank() OVER (PARTITION BY k ORDER BY v % 3, upper(w) DESC) AS r FROM s) WHERE r <= 3;
SELECT u, v, r FROM (SELECT coalesce(k, 'none') AS u, v, dense_rank() OVER (PARTITION BY k IS NULL ORDER BY abs(v - 4)) AS r FROM s) WHERE r <= 2;
SELECT v, w FROM s ORDER BY w NULLS FIRST, v DESC NULLS LAST LIMIT 4;
SELECT v, w FROM s ORDER BY abs(v - 4) LIMIT 3;
