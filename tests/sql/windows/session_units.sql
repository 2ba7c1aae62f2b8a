-- Times in seconds, milliseconds and microseconds, zoned times, times before 1970, and ends that fall between two milliseconds.
CREATE STREAM s (t0 TIMESTAMP(0), t3 TIMESTAMP(3), t6 TIMESTAMP(6), tz TIMESTAMP WITH TIME ZONE, v INT);
INSERT INTO s SELECT CAST(t AS TIMESTAMP(0)) AS t0, CAST(t AS TIMESTAMP(3)) AS t3, CAST(t AS TIMESTAMP(6)) AS t6, CAST(t AS TIMESTAMP WITH TIME ZONE) AS tz, column2
FROM (SELECT CAST(column1 AS TIMESTAMP) AS t, column2 FROM (VALUES
  ('1969-12-31 23:59:58.5', 1), ('1970-01-01 00:00:00', 2), ('1970-01-01 00:00:01.2505', 4), ('1970-01-01 00:00:05.000001', 8)));
SELECT v, window_start, window_end, window_time FROM SESSION(s, t0, INTERVAL '2 seconds');
SELECT v, window_start, window_end, window_time FROM SESSION(s, t3, INTERVAL '1500 milliseconds');
SELECT v, window_start, window_end, window_time FROM SESSION(s, t6, INTERVAL '1250500 microseconds');
SELECT v, window_start, window_end, window_time FROM SESSION(s, tz, INTERVAL '1 second');
CREATE STREAM fine (ts TIMESTAMP, v INT, WATERMARK FOR ts AS ts);
INSERT INTO fine VALUES
  ('2024-01-01 00:00:00.0015', 1), ('2024-01-01 00:00:00.0022', 2), ('2024-01-01 00:00:00.0032', 4), ('2024-01-01 00:00:00.0038', 8),
  ('2024-01-01 00:00:00.0051', 16), ('2024-01-01 00:00:00.0069', 32), ('2024-01-01 00:00:00.0071', 64);
-- A window over window_time must wait for sessions whose end lies less than a millisecond past its own.
SELECT window_start, count(*) AS sessions FROM TUMBLE((SELECT window_time AS t, count(*) AS n FROM SESSION(fine, ts, INTERVAL '300 microseconds') GROUP BY window_start, window_end, window_time), t, INTERVAL '1 millisecond') GROUP BY window_start;
