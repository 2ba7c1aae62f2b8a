CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '3 seconds');
CREATE STREAM u (ts TIMESTAMP, k TEXT, v INT);
EXPLAIN SELECT * FROM SESSION(s, ts, INTERVAL '5 minutes', PARTITION => k) EMIT FINAL;
EXPLAIN SELECT * FROM SESSION(s, ts, INTERVAL '5 minutes', PARTITION => k, GRACE => INTERVAL '1 hour') EMIT CHANGES;
EXPLAIN SELECT k, count(*) AS n FROM s WINDOW SESSION (5 MINUTES, GRACE PERIOD 1 MINUTE) GROUP BY k EMIT FINAL;
EXPLAIN SELECT count(*) AS n FROM SESSION(u, ts, INTERVAL '5 minutes') GROUP BY window_start, window_end;
EXPLAIN SELECT v, window_end FROM SESSION(s, ts, INTERVAL '5 minutes', PARTITION => (k, v % 2)) WHERE k > 'a' AND v > 1 AND window_end > '2024-01-01';
EXPLAIN SELECT k, window_start, count(*) AS n FROM SESSION(s, ts, INTERVAL '5 minutes', PARTITION => k) GROUP BY k, window_start;
EXPLAIN SELECT window_start, count(*) AS n FROM TUMBLE((SELECT window_time AS t FROM SESSION(s, ts, INTERVAL '5 minutes', PARTITION => k)), t, INTERVAL '1 hour') GROUP BY window_start EMIT FINAL;
