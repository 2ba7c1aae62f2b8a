-- The top of each window: kept while it is open, sent once when it is over; late rows are in none.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '3 seconds');
INSERT INTO s VALUES
  ('2024-01-01 00:00:01', 'a', 1), ('2024-01-01 00:00:08', 'b', 2), ('2024-01-01 00:00:04', 'b', 1), ('2024-01-01 00:00:09', 'c', 7),
  ('2024-01-01 00:00:13', 'a', 4), ('2024-01-01 00:00:09', 'late', 8), ('2024-01-01 00:00:14', 'b', 16), ('2024-01-01 00:00:11', 'b', 16),
  ('2024-01-01 00:00:42', 'a', 32), ('2024-01-01 00:00:38', 'late', 64), ('2024-01-01 00:00:41', 'c', 128), ('2024-01-01 00:00:43', 'd', 5);
-- Of rows.
SELECT window_start, window_end, k, v, rn FROM (
  SELECT *, row_number() OVER (PARTITION BY window_start, window_end ORDER BY v DESC) AS rn FROM TUMBLE(s, ts, INTERVAL '10 seconds')
) WHERE rn <= 2;
SELECT window_end, k, v FROM (
  SELECT *, rank() OVER (PARTITION BY window_end ORDER BY v DESC) AS r FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds')
) WHERE r = 1;
SELECT window_start, k, v, d FROM (
  SELECT *, dense_rank() OVER (PARTITION BY window_start, k ORDER BY v) AS d FROM TUMBLE(s, ts, INTERVAL '10 seconds')
) WHERE d <= 1;
SELECT window_end, k, v, rn FROM (
  SELECT *, row_number() OVER (PARTITION BY window_end ORDER BY v DESC) AS rn
  FROM CUMULATE(s, ts, INTERVAL '5 seconds', INTERVAL '20 seconds')
) WHERE rn = 1;
SELECT window_start, k, v, row_number() OVER (PARTITION BY window_start ORDER BY v) AS rn FROM TUMBLE(s, ts, INTERVAL '10 seconds');
-- Of groups: the busiest keys of each window, also those with a grace.
SELECT window_start, window_end, k, n, rn FROM (
  SELECT window_start, window_end, k, n, row_number() OVER (PARTITION BY window_start, window_end ORDER BY n DESC, k) AS rn
  FROM (SELECT window_start, window_end, k, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, k)
) WHERE rn <= 2;
SELECT window_end, k, total FROM (
  SELECT window_end, k, sum(v) AS total, rank() OVER (PARTITION BY window_end ORDER BY sum(v) DESC) AS r
  FROM TUMBLE(s, ts, INTERVAL '10 seconds', GRACE => INTERVAL '5 seconds') GROUP BY window_end, k
) WHERE r <= 2;
SELECT DISTINCT ON (window_start) window_start, k, v FROM TUMBLE(s, ts, INTERVAL '10 seconds') ORDER BY window_start, v DESC, k;
-- And what goes on from there: windows of the tops of windows.
SELECT window_start, count(*) AS n, sum(v) AS total FROM TUMBLE((
  SELECT window_time AS at, v FROM (
    SELECT window_time, v, row_number() OVER (PARTITION BY window_time ORDER BY v DESC) AS rn FROM TUMBLE(s, ts, INTERVAL '10 seconds')
  ) WHERE rn <= 2
), at, INTERVAL '20 seconds') GROUP BY window_start;
-- A ranking that no window bounds is never final.
SELECT k, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM TUMBLE(s, ts, INTERVAL '10 seconds')) WHERE rn <= 1;
