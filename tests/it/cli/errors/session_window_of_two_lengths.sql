CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT window_start, count(*) FROM SESSION(trips, ts, INTERVAL '1 hour', INTERVAL '2 hours') GROUP BY window_start, window_end;
