CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT city, (SELECT max(fare) FROM trips) FROM trips EMIT CHANGES;
