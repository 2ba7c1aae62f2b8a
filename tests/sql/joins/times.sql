-- Joins by the rows' own times and by windows: what is unmatched goes out once under EMIT FINAL.
CREATE STREAM l (ts TIMESTAMP, k TEXT, a INT, WATERMARK FOR ts AS ts - INTERVAL '10 seconds');
CREATE STREAM r (ts TIMESTAMP, k TEXT, b INT, WATERMARK FOR ts AS ts - INTERVAL '10 seconds');
INSERT INTO l VALUES ('2024-01-01 00:00:00', 'x', 1), ('2024-01-01 00:00:30', 'x', 2), ('2024-01-01 00:02:00', 'y', 3), ('2024-01-01 00:05:00', 'x', 4), (NULL, 'x', 5);
INSERT INTO r VALUES ('2024-01-01 00:00:20', 'x', 10), ('2024-01-01 00:00:40', 'x', 20), ('2024-01-01 00:02:00', 'z', 30), ('2024-01-01 00:06:00', 'x', 40), ('2024-01-01 00:05:55', NULL, 50);
SELECT l.k, a, b FROM l JOIN r ON l.k = r.k AND r.ts BETWEEN l.ts AND l.ts + INTERVAL '20 seconds';
SELECT l.k, a, b FROM l LEFT JOIN r ON l.k = r.k AND r.ts BETWEEN l.ts - INTERVAL '10 seconds' AND l.ts + INTERVAL '1 minute';
SELECT l.k, a, r.k AS rk, b FROM l FULL JOIN r ON l.k = r.k AND r.ts >= l.ts AND r.ts <= l.ts + INTERVAL '1 minute';
SELECT l.k, a FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE l.k = r.k AND r.ts BETWEEN l.ts AND l.ts + INTERVAL '1 minute');
SELECT x.window_start, x.k, a, b
FROM TUMBLE(l, ts, INTERVAL '1 minute') AS x LEFT JOIN TUMBLE(r, ts, INTERVAL '1 minute') AS y ON x.window_end = y.window_end AND x.k = y.k;
EXPLAIN SELECT l.k, a, b FROM l JOIN r ON l.k = r.k EMIT CHANGES;
EXPLAIN SELECT l.k, a, b FROM l LEFT JOIN r ON l.k = r.k AND r.ts BETWEEN l.ts - INTERVAL '10 seconds' AND l.ts + INTERVAL '1 minute' EMIT FINAL;
EXPLAIN SELECT x.k, a, b FROM TUMBLE(l, ts, INTERVAL '1 minute') AS x JOIN TUMBLE(r, ts, INTERVAL '1 minute') AS y ON x.window_end = y.window_end AND x.k = y.k EMIT FINAL;
