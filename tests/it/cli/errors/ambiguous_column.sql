CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT city FROM trips a JOIN trips b ON a.ts = b.ts;
