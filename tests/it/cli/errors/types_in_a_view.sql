CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
CREATE VIEW totals AS SELECT city, ts, sum(fare) OVER (PARTITION BY city) AS total FROM trips;
SELECT city, total + 1 AS more FROM totals WHERE total > 5 EMIT CHANGES;
