-- Between rows that tie those columns decide that the SELECT with the ranking reads, and no others: they need not be kept.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v BIGINT, a TEXT, b TEXT, c TEXT, WATERMARK FOR ts AS ts);
INSERT INTO s VALUES
  ('2024-01-01 00:00:01', 'x', 1, 'b', 'p', 'one'), ('2024-01-01 00:00:02', 'x', 1, 'a', 'q', 'two'),
  ('2024-01-01 00:00:03', 'x', 1, 'a', 'p', 'three'), ('2024-01-01 00:00:04', 'y', 2, 'c', 'q', 'four');
EXPLAIN SELECT k, a FROM (SELECT k, a, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM s) WHERE n = 1;
SELECT k, a FROM (SELECT k, a, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM s) WHERE n = 1;
SELECT a, b FROM (SELECT a, b, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM s) WHERE n = 1;
SELECT a FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM s) WHERE n = 1;
SELECT k, a FROM s QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) = 1;
SELECT k, a, b FROM s WHERE c <> 'one' QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) = 1 AND b < 'z';
SELECT DISTINCT ON (k) k, b FROM s ORDER BY k, v;
SELECT n FROM (SELECT ROW_NUMBER() OVER () AS n FROM s) WHERE n <= 2;
SELECT k, (SELECT max(t.c) FROM s AS t WHERE t.b = s.b) AS most FROM s QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) = 1;
