CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT a.city FROM trips a JOIN trips b ON a.city = b.city EMIT CHANGES;
