CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, n SMALLINT, WATERMARK FOR ts AS ts);
SELECT city FROM trips WHERE n > 1 AND fare + ts > 5;
