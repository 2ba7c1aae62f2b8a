CREATE STREAM trips (id BIGINT, city TEXT);
CREATE MATERIALIZED VIEW counts AS SELECT city, count(*) AS n FROM trips GROUP BY city;
DELETE FROM counts WHERE n > 1;
