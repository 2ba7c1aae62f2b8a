CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
CREATE STREAM sink AS SELECT city, count(*) AS n FROM trips GROUP BY city;
