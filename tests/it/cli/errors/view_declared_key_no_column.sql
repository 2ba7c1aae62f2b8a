CREATE STREAM trips (id BIGINT, city TEXT);
CREATE TABLE counts (PRIMARY KEY (citi)) AS SELECT city, count(*) AS n FROM trips GROUP BY city;
