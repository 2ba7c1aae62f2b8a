CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT window_start, count(*) FROM TUMBLE(trips, ts, INTERVAL '1 month') GROUP BY window_start;
