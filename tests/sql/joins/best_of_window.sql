-- Rows with the greatest of their window: what another row of the window is ahead of is left out before the join.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '3 seconds');
INSERT INTO s VALUES
  ('2024-01-01 00:00:01', 'a', 1), ('2024-01-01 00:00:02', 'b', 7), ('2024-01-01 00:00:03', 'c', NULL), ('2024-01-01 00:00:03', 'd', 7),
  ('2024-01-01 00:00:04', 'a', 4), ('2024-01-01 00:00:10', 'e', 7), ('2024-01-01 00:00:11', NULL, 9), ('2024-01-01 00:00:10', 'f', 9),
  ('2024-01-01 00:00:09', 'a', 7), ('2024-01-01 00:00:17', 'a', 9), ('2024-01-01 00:00:09', 'late', 8), ('2024-01-01 00:00:20', 'g', 9),
  ('2024-01-01 00:00:21', 'g', 1), ('2024-01-01 00:00:41', 'h', NULL), ('2024-01-01 00:00:08', 'later', 70), ('2024-01-01 00:00:45', NULL, -1);
-- A row at a bound lies at the end of one window and at the start of the next.
SELECT b.k, b.v, b.ts, w.we FROM s AS b
  JOIN (SELECT max(v) AS most, window_end AS we FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end) AS w ON b.v = w.most
  WHERE b.ts BETWEEN w.we - INTERVAL '10 seconds' AND w.we;
SELECT b.k, b.v, b.ts FROM s AS b
  JOIN (SELECT max(v) AS most, window_start AS ws, window_end AS we FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end) AS w
  ON b.v = w.most AND b.ts >= w.ws AND b.ts < w.we;
SELECT w.we, w.k, b.v, b.ts FROM
  (SELECT min(v) AS least, k, window_end AS we FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, k) AS w
  JOIN s AS b ON b.v <= w.least AND b.k = w.k AND b.ts > w.we - INTERVAL '10 seconds' AND b.ts <= w.we;
-- By its window; in the grace it counts as well.
SELECT b.k, b.v, b.ts, b.window_end FROM TUMBLE(s, ts, INTERVAL '10 seconds', GRACE => INTERVAL '5 seconds') AS b
  JOIN (
    SELECT max(v) AS most, window_end FROM TUMBLE(s, ts, INTERVAL '10 seconds', GRACE => INTERVAL '5 seconds') GROUP BY window_end
  ) AS w ON b.v = w.most AND b.window_end = w.window_end;
SELECT b.k, b.v, b.window_end FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds') AS b
  LEFT SEMI JOIN (
    SELECT max(v) AS most, window_start, window_end FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds') GROUP BY window_start, window_end
  ) AS w ON b.v = w.most AND b.window_start = w.window_start AND b.window_end = w.window_end;
EXPLAIN SELECT b.k, b.v, b.ts FROM s AS b
  JOIN (SELECT max(v) AS most, window_start AS ws, window_end AS we FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end) AS w
  ON b.v = w.most AND b.ts >= w.ws AND b.ts < w.we;
EXPLAIN SELECT b.k, b.v FROM TUMBLE(s, ts, INTERVAL '10 seconds') AS b
  JOIN (SELECT max(v) AS most, window_end FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_end) AS w ON b.v = w.most AND b.window_end = w.window_end;
-- All rows stay where one may be joined all the same: as nothing matches it; where late ones are kept, so that the sides may be read apart.
EXPLAIN SELECT b.k, b.v FROM s AS b
  LEFT JOIN (SELECT max(v) AS most, window_end AS we FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end) AS w
  ON b.v = w.most AND b.ts BETWEEN w.we - INTERVAL '10 seconds' AND w.we;
CREATE STREAM kept (ts TIMESTAMP, v INT, WATERMARK FOR ts AS ts - INTERVAL '3 seconds') WITH (late_topic = 'behind');
EXPLAIN SELECT b.v FROM kept AS b
  JOIN (SELECT max(v) AS most, window_end AS we FROM TUMBLE(kept, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end) AS w ON b.v = w.most
  WHERE b.ts BETWEEN w.we - INTERVAL '10 seconds' AND w.we;
