-- A row is late for a window when the watermark before it has reached the window's end (plus grace): exactly
-- at the end is late, one microsecond before it is not. The watermark is the greatest time so far minus the delay.
CREATE STREAM s (ts TIMESTAMP, v INT, WATERMARK FOR ts AS ts - INTERVAL '2 seconds');
INSERT INTO s VALUES
  ('2024-01-01 00:00:05', 1),
  ('2024-01-01 00:00:11.999999', 2),    -- watermark 09.999999
  ('2024-01-01 00:00:00', 4),           -- in time: the watermark has not reached 10
  ('2024-01-01 00:00:12', 8),           -- watermark 10
  ('2024-01-01 00:00:09.999999', 16),   -- late
  ('2024-01-01 00:00:10', 32),          -- in the next window
  ('2024-01-01 00:00:22', 64),
  ('2024-01-01 00:00:19.999', 128),     -- late
  ('2024-01-01 00:00:20', 256),
  ('2024-01-01 00:00:22', 512);
SELECT window_start, window_end, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end;
-- Grace moves the limit: 16 is in time with one microsecond of it.
SELECT WINDOWSTART AS window_start, sum(v) AS total FROM s WINDOW TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 1 MILLISECOND) GROUP BY 1 = 1;
SELECT WINDOWSTART AS window_start, sum(v) AS total FROM s WINDOW TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 10 SECONDS) GROUP BY 1 = 1;
-- The rows themselves.
SELECT ts, v, window_start FROM TUMBLE(s, ts, INTERVAL '10 seconds');
-- Without a window nothing is late.
SELECT sum(v) AS total, count(*) AS n FROM s;
