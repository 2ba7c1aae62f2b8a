CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
CREATE STREAM sink (city TEXT, fare DOUBLE, n BIGINT);
INSERT INTO sink SELECT city, fare FROM trips;
