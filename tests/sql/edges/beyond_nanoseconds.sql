-- Times that microseconds can hold and nanoseconds cannot: the year 9999 that stands for "never", and year 1.
CREATE STREAM s (ts TIMESTAMP, v INT, WATERMARK FOR ts AS ts);
INSERT INTO s VALUES ('2024-01-01 00:00:00', 1), ('0001-01-01 00:00:00', 2), ('2024-01-01 00:00:01', 4), ('9999-12-31 23:59:59', 8), ('2024-01-01 12:00:00', 16);
SELECT ts, v FROM s;
SELECT window_start, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '1 day') GROUP BY window_start;
