CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT window_start, count(*) FROM TUMBLE(trips, city, INTERVAL '1 hour') GROUP BY window_start;
