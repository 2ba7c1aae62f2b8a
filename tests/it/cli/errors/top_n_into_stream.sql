CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
CREATE STREAM dearest AS SELECT city, fare FROM (SELECT *, row_number() OVER (PARTITION BY city ORDER BY fare DESC) AS n FROM trips) WHERE n <= 3;
