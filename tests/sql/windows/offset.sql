-- Offsets move the windows: a day that begins at 16:00, one that begins at 01:00, minutes that begin at second 15.
CREATE STREAM s (ts TIMESTAMP, name TEXT, v DOUBLE, WATERMARK FOR ts AS ts - INTERVAL '2 seconds');
INSERT INTO s VALUES
  ('2020-10-09 15:59:59', 'a', 1), ('2020-10-09 16:00:00', 'a', 2), ('2020-10-10 00:30:00', 'b', 4),
  ('2020-10-10 01:00:00', NULL, 8), ('2020-10-10 15:59:59.999', 'a', 16), ('2020-10-10 16:00:00', 'b', 32);
SELECT window_start, window_end, name, sum(v) AS total
FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' DAY, INTERVAL '-8' HOUR))
GROUP BY window_start, window_end, name;
SELECT window_start, window_end, sum(v) AS total
FROM TABLE(TUMBLE(DATA => TABLE s, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1' DAY, "OFFSET" => INTERVAL '1' HOUR))
GROUP BY window_start, window_end;
SELECT window_start, window_end, sum(v) AS total
FROM TUMBLE(s, ts, INTERVAL '1 minute', INTERVAL '15 seconds')
GROUP BY window_start, window_end;
SELECT window_start, window_end, sum(v) AS total
FROM HOP(s, ts, INTERVAL '12 hours', INTERVAL '1 day', INTERVAL '-8 hours')
GROUP BY window_start, window_end;
