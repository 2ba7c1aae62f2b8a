CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT * FROM SESSION(trips, ts, INTERVAL '1 hour', PARTITION => max(city));
