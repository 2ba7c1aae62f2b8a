CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
CREATE STREAM sink (city TEXT);
INSERT INTO sink (town) SELECT city FROM trips;
