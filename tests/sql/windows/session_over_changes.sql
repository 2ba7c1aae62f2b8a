-- Sessions over results that change: when a count moves a row in time or takes it away, sessions part and merge.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '5 seconds');
INSERT INTO s VALUES
  ('2024-01-01 00:00:01', 'a', 1), ('2024-01-01 00:00:03', 'b', 2), ('2024-01-01 00:00:08', 'a', 4), ('2024-01-01 00:00:05', 'c', 8),
  ('2024-01-01 00:00:21', 'b', 16), ('2024-01-01 00:00:17', 'c', 32), ('2024-01-01 00:00:22', 'd', 64), ('2024-01-01 00:00:19', 'a', 128),
  ('2024-01-01 00:00:40', 'e', 256), ('2024-01-01 00:00:36', 'd', 512);
-- When was each last seen, and who belongs together by that?
SELECT k, seen, window_start, window_end FROM SESSION((SELECT k, max(ts) AS seen FROM s GROUP BY k), seen, INTERVAL '5 seconds');
SELECT window_start, window_end, count(*) AS n, string_agg(k, '' ORDER BY k) AS ks
FROM SESSION((SELECT k, max(ts) AS seen FROM s GROUP BY k HAVING count(*) < 3), seen, INTERVAL '5 seconds') GROUP BY window_start, window_end;
SELECT m, window_start, n FROM SESSION((SELECT v % 3 AS m, min(ts) AS first, count(*) AS n FROM s GROUP BY v % 3), first, INTERVAL '2 seconds', PARTITION => n % 2);
-- Windows that change until they are over, as rows of sessions: those still close.
SELECT k, started, n, window_start, window_end
FROM SESSION((SELECT k, window_start AS started, window_end AS ended, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '4 seconds') GROUP BY k, window_start, window_end), ended, INTERVAL '8 seconds', PARTITION => k);
SELECT k, window_start, window_end, sum(n) AS n
FROM SESSION((SELECT k, window_start AS started, window_end AS ended, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '4 seconds') GROUP BY k, window_start, window_end), ended, INTERVAL '8 seconds', PARTITION => k)
GROUP BY k, window_start, window_end;
SELECT DISTINCT k, window_start FROM SESSION((SELECT DISTINCT k, ts FROM s), ts, INTERVAL '8 seconds', PARTITION => k);
