CREATE STREAM trips (ts TIMESTAMP, city TEXT);
SELECT window_start, count(*) FROM TUMBLE(trips, ts, INTERVAL '1 hour') GROUP BY window_start EMIT FINAL;
