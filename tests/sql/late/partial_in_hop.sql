-- A row of HOP can be late for its older windows and in time for the newer ones.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts);
INSERT INTO s VALUES
  ('2024-01-01 00:00:00', 'k1', 1),
  ('2024-01-01 00:00:12', 'k1', 2),
  ('2024-01-01 00:00:08', 'k1', 4),   -- late for [0,10), in time for [5,15)
  ('2024-01-01 00:00:03', 'k1', 8),   -- late for both
  ('2024-01-01 00:00:15', 'k2', 16),
  ('2024-01-01 00:00:14.999', 'k1', 32);
SELECT k, window_start, window_end, sum(v) AS total
FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds') GROUP BY k, window_start, window_end;
SELECT k, WINDOWSTART AS window_start, sum(v) AS total
FROM s WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 5 SECONDS, GRACE PERIOD 2 SECONDS) GROUP BY k;
SELECT window_start, window_end, sum(v) AS total
FROM TABLE(CUMULATE(TABLE s, DESCRIPTOR(ts), INTERVAL '5' SECONDS, INTERVAL '15' SECONDS)) GROUP BY window_start, window_end;
SELECT v, window_start FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds');
