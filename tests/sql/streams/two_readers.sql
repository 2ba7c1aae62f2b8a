-- Two readers of one stream, and a query that reads it twice.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts);
INSERT INTO s VALUES ('2024-01-01 00:00:01', 'a', 1), ('2024-01-01 00:00:12', 'b', 2), ('2024-01-01 00:00:05', 'late', 4), ('2024-01-01 00:00:13', 'a', 8);
CREATE STREAM r1 AS SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start EMIT FINAL;
CREATE STREAM r2 AS SELECT k, v + 100 AS v FROM s;
SELECT k, v FROM r2;
SELECT k, v FROM s UNION ALL SELECT k, v FROM r2;
SELECT k, sum(v) AS total FROM (SELECT k, v FROM s UNION ALL SELECT k, -v FROM s) GROUP BY k;
SELECT a.window_start, a.n FROM (SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start) a
UNION ALL SELECT window_start, count(*) FROM TUMBLE(s, ts, INTERVAL '10 seconds') WHERE v < 8 GROUP BY window_start;
