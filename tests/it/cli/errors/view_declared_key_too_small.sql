CREATE STREAM trips (id BIGINT, city TEXT);
CREATE TABLE counts (PRIMARY KEY (city)) AS SELECT city, id, count(*) AS n FROM trips GROUP BY city, id;
