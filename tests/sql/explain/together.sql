-- EXPLAIN of what needs no exchange of its own: rows stay where an exchange before has brought them together, as long as the
-- columns that it went by are passed on as they are.
CREATE STREAM l (ts TIMESTAMP, k TEXT, a INT, WATERMARK FOR ts AS ts - INTERVAL '10 seconds');
CREATE STREAM r (ts TIMESTAMP, k TEXT, b INT, WATERMARK FOR ts AS ts - INTERVAL '10 seconds');
CREATE TABLE t (k TEXT, c INT, PRIMARY KEY (k));
EXPLAIN SELECT r.k, b, count(*) AS n FROM l JOIN r ON l.k = r.k GROUP BY r.k, b;
EXPLAIN SELECT l.k, count(*) AS n FROM l LEFT JOIN r ON l.k = r.k GROUP BY l.k;
EXPLAIN SELECT r.k, count(*) AS n FROM l LEFT JOIN r ON l.k = r.k GROUP BY r.k;
EXPLAIN SELECT l.k, count(*) AS n FROM l FULL JOIN r ON l.k = r.k GROUP BY l.k;
EXPLAIN SELECT l.k, a, b, c FROM l JOIN r ON l.k = r.k JOIN t ON t.k = l.k;
EXPLAIN SELECT x.k, x.a, n FROM (SELECT k, a, count(*) AS n FROM l GROUP BY k, a) AS x JOIN (SELECT b, k, max(ts) AS m FROM r GROUP BY b, k) AS y ON x.a = y.b AND x.k = y.k;
EXPLAIN SELECT k, a, n FROM (SELECT k, a, row_number() OVER (PARTITION BY k ORDER BY a) AS n FROM (SELECT l.k, a FROM l JOIN r ON l.k = r.k) AS x) AS y WHERE n <= 2;
EXPLAIN SELECT u, count(*) AS n FROM (SELECT upper(k) AS u, k FROM (SELECT DISTINCT k FROM l) AS x) AS y GROUP BY u;
EXPLAIN SELECT k, sum(n) AS n FROM (SELECT k, count(*) AS n FROM l GROUP BY k UNION ALL SELECT k, count(*) AS n FROM r GROUP BY k) AS x GROUP BY k;
EXPLAIN SELECT window_end, k, sum(n) AS n FROM (SELECT window_end, count(*) AS n FROM TUMBLE(l, ts, INTERVAL '1 minute') GROUP BY window_end) AS x JOIN r ON r.ts = x.window_end GROUP BY window_end, k;
EXPLAIN SELECT a, to_char(ts, '%Y-%m-%d') AS day, count(*) AS n FROM l GROUP BY a, to_char(ts, '%Y-%m-%d');
EXPLAIN SELECT k, to_char(ts, '%Y-%m-%d') AS day, count(*) AS n FROM l GROUP BY k, to_char(ts, '%Y-%m-%d');
EXPLAIN SELECT to_char(ts, '%Y-%m-%d') AS day, count(*) AS n FROM l GROUP BY to_char(ts, '%Y-%m-%d');
