CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT * FROM trips WHERE city > 5 + ts;
