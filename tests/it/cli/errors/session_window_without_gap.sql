CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT window_start, count(*) FROM SESSION(trips, ts) GROUP BY window_start, window_end;
