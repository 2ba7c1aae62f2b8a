CREATE TABLE trips (id BIGINT PRIMARY KEY, city TEXT);
SELECT city, count(*) AS n FROM trips GROUP BY city EMIT FINAL;
