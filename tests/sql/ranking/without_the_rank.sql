-- The rank only chooses rows: it is not in the output.
CREATE STREAM s (k TEXT, v INT, w TEXT);
INSERT INTO s VALUES ('a', 5, 'x'), ('a', 7, 'y'), ('b', 1, 'z'), ('a', 7, 'x'), ('a', NULL, 'n'), ('b', 1, 'z'), (NULL, 3, 'q'),
  ('b', 4, 'y'), ('a', 2, NULL), ('b', NULL, NULL), ('c', 9, 'm'), (NULL, 3, 'p'), ('a', 7, 'y'), ('c', -1, 'm');
SELECT k, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC, w) AS rn FROM s) WHERE rn <= 2;
SELECT v, w FROM (SELECT *, rank() OVER (PARTITION BY k ORDER BY v DESC) AS r FROM s) WHERE r = 1;
SELECT w FROM (SELECT *, dense_rank() OVER (ORDER BY v) AS r FROM s) WHERE r = 3;
SELECT k, count(*) AS n, sum(v) AS total FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM s) WHERE rn <= 2 GROUP BY k;
SELECT count(*) AS n FROM (SELECT row_number() OVER (ORDER BY v) AS rn FROM s) WHERE rn <= 5;
