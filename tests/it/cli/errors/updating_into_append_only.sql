CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
CREATE STREAM sink (city TEXT, n BIGINT);
INSERT INTO sink SELECT city, count(*) FROM trips GROUP BY city;
