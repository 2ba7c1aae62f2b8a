-- Minutes counted into five minutes: window_time of the inner window is the event time of the outer one.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '10 seconds');
INSERT INTO s VALUES
  ('2024-01-01 00:00:10', 'a', 1), ('2024-01-01 00:00:50', 'a', 2), ('2024-01-01 00:01:10', 'b', 3),
  ('2024-01-01 00:00:59', 'b', 4), ('2024-01-01 00:04:59.999', 'a', 5), ('2024-01-01 00:05:00', 'a', 6),
  ('2024-01-01 00:06:00', 'b', 7), ('2024-01-01 00:00:30', 'a', 100), ('2024-01-01 00:10:00', 'a', 8);
SELECT window_start, window_end, count(*) AS minutes, sum(total) AS total
FROM TABLE(TUMBLE((
  SELECT window_time AS rowtime, k, sum(v) AS total
  FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
  GROUP BY window_start, window_end, window_time, k
), DESCRIPTOR(rowtime), INTERVAL '5' MINUTES))
GROUP BY window_start, window_end;
-- The same by a view.
CREATE VIEW minutes AS
  SELECT window_time AS rowtime, k, sum(v) AS total
  FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY window_start, window_end, window_time, k;
SELECT window_start, window_end, max(total) AS most FROM TUMBLE(minutes, rowtime, INTERVAL '5 minutes') GROUP BY window_start, window_end;
-- The same grouped again by the window that is there already.
SELECT window_start, window_end, count(*) AS keys
FROM (
  SELECT window_start, window_end, k FROM TUMBLE(s, ts, INTERVAL '5 minutes') GROUP BY window_start, window_end, k
)
GROUP BY window_start, window_end;
