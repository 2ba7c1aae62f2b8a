-- as written: rows that come after a reader has begun
-- A reader that was there first takes what is inserted later, again and again.
CREATE STREAM s (ts TIMESTAMP, v INT, WATERMARK FOR ts AS ts);
CREATE STREAM counts AS SELECT window_start, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start EMIT FINAL;
SELECT * FROM counts;
INSERT INTO s VALUES ('2024-01-01 00:00:01', 1), ('2024-01-01 00:00:02', 2);
SELECT * FROM counts;
INSERT INTO s VALUES ('2024-01-01 00:00:10', 4);
SELECT * FROM counts;
INSERT INTO s VALUES ('2024-01-01 00:00:09', 8), ('2024-01-01 00:00:25', 16);
SELECT * FROM counts;
SELECT window_start, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start;
DROP STREAM counts;
SELECT count(*) AS n FROM s;
DROP STREAM s;
CREATE STREAM s (other TEXT);
SELECT * FROM s;
