CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT city, count(*) FROM trips WINDOW SESSION (5 MINUTES) WHERE window_start > '2024-01-01' GROUP BY city;
