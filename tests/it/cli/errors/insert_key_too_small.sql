CREATE STREAM trips (id BIGINT, city TEXT);
CREATE TABLE counts (city TEXT, id BIGINT, n BIGINT, PRIMARY KEY (city));
INSERT INTO counts SELECT city, id, count(*) FROM trips GROUP BY city, id;
