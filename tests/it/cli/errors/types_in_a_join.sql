CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, n SMALLINT, WATERMARK FOR ts AS ts);
SELECT a.city FROM trips a JOIN trips b ON a.ts + b.n = b.ts EMIT CHANGES;
