-- UNION ALL and UNION, of streams, windows and aggregates.
CREATE STREAM a (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts);
CREATE STREAM b (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '1 minute');
INSERT INTO a VALUES ('2024-01-01 00:00:05', 'x', 1), ('2024-01-01 00:00:20', 'y', 2), ('2024-01-01 00:00:06', 'late', 4);
INSERT INTO b VALUES ('2024-01-01 00:00:05', 'x', 1), ('2024-01-01 00:00:30', 'y', 16), ('2024-01-01 00:00:07', 'not late', 32);
SELECT k, v FROM a UNION ALL SELECT k, v FROM b;
SELECT k, v FROM a UNION SELECT k, v FROM b;
SELECT window_start, sum(v) AS total
FROM TUMBLE((SELECT ts, v FROM a UNION ALL SELECT ts, v FROM b), ts, INTERVAL '10 seconds') GROUP BY window_start;
SELECT window_start, count(*) AS n FROM TUMBLE(a, ts, INTERVAL '10 seconds') GROUP BY window_start
UNION ALL
SELECT window_start, count(*) FROM TUMBLE(b, ts, INTERVAL '10 seconds') GROUP BY window_start;
SELECT k, sum(v) AS total FROM (SELECT * FROM a UNION ALL SELECT * FROM b UNION ALL SELECT * FROM a) GROUP BY k;
SELECT 'a' AS src, count(*) AS n FROM a UNION ALL SELECT 'b', count(*) FROM b;
