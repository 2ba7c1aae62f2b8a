-- What a continuous query cannot do is said when it is planned; a bounded one may do it.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts);
INSERT INTO s VALUES ('2024-01-01 00:00:01', 'a', 1), ('2024-01-01 00:00:02', 'b', 2), ('2024-01-01 00:00:03', 'a', 3);
SELECT a.k, b.v FROM s a JOIN s b ON a.k = b.k;
SELECT k, sum(v) OVER (PARTITION BY k ORDER BY ts) AS running FROM s;
SELECT k, v FROM s ORDER BY v DESC LIMIT 1;
SELECT k FROM s WHERE v = (SELECT max(v) FROM s);
SELECT k FROM s WHERE v IN (SELECT v FROM s WHERE v > 1);
SELECT k FROM s INTERSECT SELECT k FROM s WHERE v > 1;
SELECT k, v FROM s LIMIT 10;
SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '1 month') GROUP BY window_start;
SELECT window_start, count(*) AS n FROM TUMBLE(s, k, INTERVAL '1 hour') GROUP BY window_start;
SELECT window_start, count(*) AS n FROM TUMBLE(s, tss, INTERVAL '1 hour') GROUP BY window_start;
SELECT window_start, count(*) AS n FROM TUMBLE(nothing, ts, INTERVAL '1 hour') GROUP BY window_start;
SELECT window_start, count(*) AS n FROM CUMULATE(s, ts, INTERVAL '7 minutes', INTERVAL '1 hour') GROUP BY window_start;
SELECT k, count(*) AS n FROM s;
SELECT nosuch(v) FROM s;
SELECT v + k FROM s WHERE v > 'x';
