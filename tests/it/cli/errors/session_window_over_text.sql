CREATE STREAM trips (ts TEXT, city TEXT);
SELECT * FROM SESSION(trips, ts, INTERVAL '1 hour', PARTITION => city);
