-- Ranks over results that change: the rows that leave make room for others.
CREATE STREAM s (k TEXT, v INT, w TEXT);
INSERT INTO s VALUES ('a', 5, 'x'), ('a', 7, 'y'), ('b', 1, 'z'), ('a', 7, 'x'), ('a', NULL, 'n'), ('b', 1, 'z'), (NULL, 3, 'q'),
  ('b', 4, 'y'), ('a', 2, NULL), ('b', NULL, NULL), ('c', 9, 'm'), (NULL, 3, 'p'), ('a', 7, 'y'), ('c', -1, 'm');
SELECT k, total FROM (SELECT k, total, row_number() OVER (ORDER BY total DESC) AS rn FROM (SELECT k, sum(v) AS total FROM s GROUP BY k)) WHERE rn <= 2;
SELECT w, n, r FROM (SELECT w, n, rank() OVER (ORDER BY n DESC) AS r FROM (SELECT w, count(*) AS n FROM s GROUP BY w)) WHERE r <= 2;
SELECT w, n, r FROM (SELECT w, n, dense_rank() OVER (ORDER BY n DESC) AS r FROM (SELECT w, count(*) AS n FROM s GROUP BY w)) WHERE r BETWEEN 2 AND 3;
SELECT k, w, n, rn FROM (
  SELECT k, w, n, row_number() OVER (PARTITION BY k ORDER BY n DESC) AS rn FROM (SELECT k, w, count(*) AS n FROM s GROUP BY k, w)
) WHERE rn <= 2;
SELECT k, count(*) AS n FROM s GROUP BY k ORDER BY n DESC, k LIMIT 2;
SELECT k, count(*) AS n FROM s GROUP BY k ORDER BY n LIMIT 2 OFFSET 1;
SELECT n, count(*) AS ks FROM (SELECT k, count(*) AS n FROM s GROUP BY k ORDER BY n DESC LIMIT 3) GROUP BY n;
SELECT k, rn FROM (
  SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY v) AS rn FROM (SELECT k, v, row_number() OVER (PARTITION BY v ORDER BY w) AS first FROM s) WHERE first = 1
) WHERE rn <= 2;
