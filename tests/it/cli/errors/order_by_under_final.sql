CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
SELECT window_start, count(*) AS n FROM TUMBLE(trips, ts, INTERVAL '1 hour') GROUP BY window_start ORDER BY n EMIT FINAL;
