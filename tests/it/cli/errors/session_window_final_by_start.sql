CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT city, window_start, count(*) FROM SESSION(trips, ts, INTERVAL '1 hour', PARTITION => city) GROUP BY city, window_start EMIT FINAL;
