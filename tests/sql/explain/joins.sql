-- EXPLAIN of joins of every kind: which rows go out, by which keys, and what bounds the state.
CREATE STREAM l (ts TIMESTAMP, k TEXT, a INT, WATERMARK FOR ts AS ts - INTERVAL '10 seconds');
CREATE STREAM r (ts TIMESTAMP, k TEXT, b INT, WATERMARK FOR ts AS ts - INTERVAL '10 seconds');
CREATE TABLE t (k TEXT, c INT, PRIMARY KEY (k));
EXPLAIN SELECT l.k, a, b FROM l JOIN r ON l.k = r.k AND a < b;
EXPLAIN SELECT l.k, a, c FROM l JOIN t ON l.k = t.k;
EXPLAIN SELECT l.k, a, b FROM l LEFT JOIN r ON l.k = r.k;
EXPLAIN SELECT r.k, a, b FROM l RIGHT JOIN r ON l.k = r.k AND a > 1;
EXPLAIN SELECT l.k, a, b FROM l FULL JOIN r ON l.k = r.k AND a = b;
EXPLAIN SELECT a, b FROM l CROSS JOIN r;
EXPLAIN SELECT a, b FROM l JOIN r ON a < b;
EXPLAIN SELECT k, a FROM l WHERE k IN (SELECT k FROM r WHERE b > 1);
EXPLAIN SELECT k, a FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.k = l.k AND r.b > l.a);
EXPLAIN SELECT k, a FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.k = l.k);
EXPLAIN SELECT k, a FROM l WHERE k NOT IN (SELECT k FROM r);
EXPLAIN SELECT k, a FROM l WHERE a > 1 OR k IN (SELECT k FROM r);
EXPLAIN SELECT k, (SELECT max(b) FROM r WHERE r.k = l.k) AS most FROM l;
EXPLAIN SELECT k FROM l INTERSECT SELECT k FROM r;
EXPLAIN SELECT k FROM l EXCEPT SELECT k FROM r;
EXPLAIN SELECT l.k, a, b FROM l JOIN r ON l.k = r.k AND l.ts = r.ts;
EXPLAIN SELECT l.k, a, b FROM l JOIN r ON l.k = r.k AND r.ts BETWEEN l.ts - INTERVAL '10 seconds' AND l.ts + INTERVAL '1 minute';
EXPLAIN SELECT k, a FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.k = l.k AND r.ts BETWEEN l.ts AND l.ts + INTERVAL '1 minute') EMIT FINAL;
EXPLAIN SELECT x.window_end, x.k, y.k AS yk, n, m
FROM (SELECT window_end, k, count(*) AS n FROM TUMBLE(l, ts, INTERVAL '1 minute') GROUP BY window_end, k) AS x
FULL JOIN (SELECT window_end, k, count(*) AS m FROM TUMBLE(r, ts, INTERVAL '1 minute') GROUP BY window_end, k) AS y
ON x.window_end = y.window_end AND x.k = y.k EMIT FINAL;
