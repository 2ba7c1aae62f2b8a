-- Equal timestamps, rows exactly at the ends of windows, and a watermark that jumps over many windows at once.
CREATE STREAM s (ts TIMESTAMP, v INT, WATERMARK FOR ts AS ts - INTERVAL '5 seconds');
INSERT INTO s VALUES
  ('2024-01-01 00:00:00', 1), ('2024-01-01 00:00:00', 2), ('2024-01-01 00:00:05', 4), ('2024-01-01 00:00:05', 8),
  ('2024-01-01 00:00:10', 16), ('2024-01-01 00:00:04.999999999', 32), ('2024-01-01 00:00:05', 64), ('2024-01-01 00:10:00', 128),
  ('2024-01-01 00:09:54.999', 256), ('2024-01-01 00:09:55', 512), ('2024-01-01 00:09:59', 1024), ('2024-01-01 00:10:00', 2048);
SELECT window_start, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '5 seconds') GROUP BY window_start;
SELECT window_start, window_end, sum(v) AS total FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '15 seconds') GROUP BY window_start, window_end;
SELECT window_end, sum(v) AS total FROM TABLE(CUMULATE(TABLE s, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '15' SECOND)) GROUP BY window_end;
SELECT WINDOWSTART AS window_start, sum(v) AS total FROM s WINDOW TUMBLING (SIZE 5 SECONDS, GRACE PERIOD 4 SECONDS) GROUP BY 1 = 1;
SELECT WINDOWSTART AS window_start, sum(v) AS total FROM s WINDOW TUMBLING (SIZE 5 SECONDS, GRACE PERIOD 5 SECONDS) GROUP BY 1 = 1;
