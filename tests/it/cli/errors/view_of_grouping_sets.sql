CREATE STREAM trips (id BIGINT, city TEXT, fare BIGINT);
CREATE MATERIALIZED VIEW fares AS SELECT city, id, sum(fare) AS fare FROM trips GROUP BY ROLLUP (city, id);
