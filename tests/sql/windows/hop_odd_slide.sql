-- A slide that does not divide the size, and one that is longer than it: then rows between windows lie in none.
CREATE STREAM s (ts TIMESTAMP, v INT, WATERMARK FOR ts AS ts);
INSERT INTO s VALUES
  ('2024-01-01 00:00:00', 1), ('2024-01-01 00:00:03', 2), ('2024-01-01 00:00:06', 4),
  ('2024-01-01 00:00:07', 8), ('2024-01-01 00:00:09', 16), ('2024-01-01 00:00:10', 32), ('2024-01-01 00:00:20', 64);
SELECT window_start, window_end, sum(v) AS total
FROM HOP(s, ts, INTERVAL '4 seconds', INTERVAL '10 seconds') GROUP BY window_start, window_end;
SELECT window_start, window_end, sum(v) AS total
FROM HOP(s, ts, INTERVAL '10 seconds', INTERVAL '4 seconds') GROUP BY window_start, window_end;
