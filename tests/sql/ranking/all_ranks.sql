-- Ranks of all rows: each row that comes shifts those behind it.
CREATE STREAM s (k TEXT, v INT, w TEXT);
INSERT INTO s VALUES ('a', 5, 'x'), ('a', 7, 'y'), ('b', 1, 'z'), ('a', 7, 'x'), ('a', NULL, 'n'), ('b', 1, 'z'), (NULL, 3, 'q'),
  ('b', 4, 'y'), ('a', 2, NULL), ('b', NULL, NULL), ('c', 9, 'm'), (NULL, 3, 'p'), ('a', 7, 'y'), ('c', -1, 'm');
SELECT k, v, w, row_number() OVER (PARTITION BY k ORDER BY v) AS rn FROM s;
SELECT k, v, rank() OVER (ORDER BY v DESC) AS r FROM s;
SELECT k, v, dense_rank() OVER (ORDER BY v DESC) AS r FROM s;
SELECT k, v, w, row_number() OVER (PARTITION BY k ORDER BY v) AS rn, rank() OVER (PARTITION BY k ORDER BY v) AS r, dense_rank() OVER (PARTITION BY k ORDER BY v) AS d FROM s;
SELECT k, v, w, row_number() OVER (ORDER BY v) AS up, row_number() OVER (ORDER BY v DESC) AS down, rank() OVER (PARTITION BY w ORDER BY v) AS r FROM s;
SELECT k, v, r, rn, d FROM (
  SELECT k, v, w, rank() OVER (PARTITION BY k ORDER BY v DESC) AS r, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn,
    dense_rank() OVER (PARTITION BY k ORDER BY v DESC) AS d FROM s
) WHERE r <= 2;
SELECT k, v, r, rn FROM (
  SELECT k, v, w, rank() OVER (PARTITION BY k ORDER BY v DESC) AS r, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM s
) WHERE rn <= 2;
SELECT k, v, r, rn FROM (
  SELECT k, v, w, rank() OVER (PARTITION BY k ORDER BY v DESC) AS r, row_number() OVER (PARTITION BY w ORDER BY v) AS rn FROM s
) WHERE rn <= 2 AND r <= 2;
SELECT k, rn, count(*) AS n FROM (SELECT k, row_number() OVER (PARTITION BY w ORDER BY v) AS rn FROM s) GROUP BY k, rn;
-- A lower end must not cut rows that count for a later rank.
SELECT k, v, r, rn FROM (
  SELECT k, v, w, rank() OVER (PARTITION BY k ORDER BY v DESC) AS r, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM s
) WHERE rn BETWEEN 2 AND 3;
SELECT k, v, r, d FROM (
  SELECT k, v, w, rank() OVER (PARTITION BY k ORDER BY v DESC) AS r, dense_rank() OVER (PARTITION BY k ORDER BY v DESC) AS d FROM s
) WHERE r BETWEEN 2 AND 4;
