CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, n SMALLINT, WATERMARK FOR ts AS ts);
SELECT city, round(fare), sqrt(city) AS root FROM trips EMIT CHANGES;
