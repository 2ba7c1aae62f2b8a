-- Partitions run apart: a row is late by its own partition alone, and a session waits for the slowest.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts) WITH (partitions = 8, key = 'k');
INSERT INTO s VALUES
  ('2024-01-01 01:00:00', 'ahead', 1), ('2024-01-01 00:00:00', 'behind', 2), ('2024-01-01 01:00:01', 'ahead', 4),
  ('2024-01-01 00:00:07', 'third', 8), ('2024-01-01 00:00:04', 'behind', 16), ('2024-01-01 01:00:00', 'ahead', 32),
  ('2024-01-01 00:00:12', 'third', 64), ('2024-01-01 00:59:55', 'third', 128), ('2024-01-01 00:00:03', 'behind', 256),
  ('2024-01-01 00:59:58', 'behind', 512), ('2024-01-01 00:59:57', 'behind', 1024);
SELECT k, v, window_start, window_end FROM SESSION(s, ts, INTERVAL '5 seconds', PARTITION => k);
SELECT window_start, window_end, sum(v) AS total, count(*) AS n FROM SESSION(s, ts, INTERVAL '5 seconds') GROUP BY window_start, window_end;
SELECT window_start, window_end, sum(v) AS total, count(*) AS n FROM SESSION(s, ts, INTERVAL '5 seconds', GRACE => INTERVAL '1 second') GROUP BY window_start, window_end;
