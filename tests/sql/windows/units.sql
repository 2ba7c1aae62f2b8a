-- Event times of every precision, with and without a zone.
CREATE STREAM s0 (ts TIMESTAMP(0), v INT, WATERMARK FOR ts AS ts - INTERVAL '1 second');
INSERT INTO s0 VALUES ('2024-01-01 00:00:00', 1), ('2024-01-01 00:00:09', 2), ('2024-01-01 00:00:10', 4);
SELECT window_start, window_end, window_time, sum(v) AS total FROM TUMBLE(s0, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, window_time;
CREATE STREAM s9 (ts TIMESTAMP(9), v INT, WATERMARK FOR ts AS ts);
INSERT INTO s9 VALUES ('2024-01-01 00:00:00.000000001', 1), ('2024-01-01 00:00:09.999999999', 2), ('2024-01-01 00:00:10', 4);
SELECT window_start, window_end, window_time, sum(v) AS total FROM TUMBLE(s9, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, window_time;
CREATE STREAM sz (ts TIMESTAMP WITH TIME ZONE, v INT, WATERMARK FOR ts AS ts);
INSERT INTO sz VALUES ('2024-01-01T00:00:00Z', 1), ('2024-01-01T02:00:05+02:00', 2), ('2024-01-01T00:00:10Z', 4);
SELECT window_start, window_end, sum(v) AS total FROM TUMBLE(sz, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end;
SELECT window_start, window_end, sum(v) AS total FROM TUMBLE(s9, ts, INTERVAL '1 millisecond') GROUP BY window_start, window_end;
SELECT window_start FROM TUMBLE(s0, ts, INTERVAL '100 milliseconds');
