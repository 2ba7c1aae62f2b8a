CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, n SMALLINT, WATERMARK FOR ts AS ts);
SELECT city, count(*) AS n FROM trips GROUP BY city HAVING sum(city || 'x') > 1;
