CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT city, first_value(fare) OVER (PARTITION BY city ORDER BY ts) FROM trips EMIT CHANGES;
