-- The first and the last times there are, and equal ones.
CREATE STREAM s (ts TIMESTAMP, v INT, WATERMARK FOR ts AS ts - INTERVAL '1 hour');
INSERT INTO s VALUES ('1677-09-22 00:00:00', 1), ('2000-01-01 00:00:00', 2), ('2000-01-01 00:00:00', 4), ('2262-04-10 00:00:00', 8), ('2262-04-10 00:00:00', 16), ('2000-01-01 00:00:00', 32);
SELECT window_start, window_end, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '1 day') GROUP BY window_start, window_end;
SELECT window_start, sum(v) AS total FROM HOP(s, ts, INTERVAL '12 hours', INTERVAL '1 day') GROUP BY window_start;
