-- The best of a window by a count that only rises: what stands behind is not kept, and comes back when it has risen.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '3 seconds');
INSERT INTO s VALUES
  ('2024-01-01 00:00:01', 'a', 1), ('2024-01-01 00:00:02', 'b', 2), ('2024-01-01 00:00:03', 'c', NULL), ('2024-01-01 00:00:03', 'b', 7),
  ('2024-01-01 00:00:04', 'a', 4), ('2024-01-01 00:00:04', 'c', NULL), ('2024-01-01 00:00:05', NULL, 9), ('2024-01-01 00:00:05', 'c', 16),
  ('2024-01-01 00:00:06', 'a', 3), ('2024-01-01 00:00:12', 'd', 5), ('2024-01-01 00:00:09', 'd', 5), ('2024-01-01 00:00:09', 'b', 5),
  ('2024-01-01 00:00:14', 'a', 1), ('2024-01-01 00:00:31', 'd', 1), ('2024-01-01 00:00:08', 'late', 1), ('2024-01-01 00:00:32', NULL, 1);
SELECT window_end, k, n, r FROM (
  SELECT *, rank() OVER (PARTITION BY window_start, window_end ORDER BY n DESC) AS r
  FROM (SELECT window_start, window_end, k, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, k)
) WHERE r <= 2;
SELECT window_end, k, most, rn FROM (
  SELECT *, row_number() OVER (PARTITION BY window_end ORDER BY most DESC NULLS LAST, k DESC) AS rn
  FROM (SELECT window_end, k, max(v) AS most FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds') GROUP BY window_end, k)
) WHERE rn BETWEEN 2 AND 3;
SELECT window_end, k, least FROM (
  SELECT *, rank() OVER (PARTITION BY window_end ORDER BY least) AS r
  FROM (SELECT window_end, k, min(v) AS least FROM TUMBLE(s, ts, INTERVAL '10 seconds', GRACE => INTERVAL '30 seconds') GROUP BY window_end, k)
) WHERE r = 1;
-- Said as a join with the greatest it is the same, and planned so.
SELECT a.window_end, a.k, b.most FROM
  (SELECT window_end, k, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_end, k) AS a
  JOIN (
    SELECT window_end, max(n) AS most
    FROM (SELECT window_end, k, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_end, k) AS c GROUP BY window_end
  ) AS b ON a.window_end = b.window_end AND a.n = b.most;
EXPLAIN SELECT a.window_end, a.k, b.most FROM
  (SELECT window_end, k, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_end, k) AS a
  JOIN (
    SELECT window_end, max(n) AS most
    FROM (SELECT window_end, k, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_end, k) AS c GROUP BY window_end
  ) AS b ON a.window_end = b.window_end AND a.n = b.most;
-- Not so if it may also fall: a sum, a table's count.
EXPLAIN SELECT window_end, k FROM (
  SELECT window_end, k, rank() OVER (PARTITION BY window_end ORDER BY sum(v) DESC) AS r
  FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_end, k
) WHERE r = 1;
