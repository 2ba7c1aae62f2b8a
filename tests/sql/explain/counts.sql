-- EXPLAIN of counts of different values: a worker sends a value once, where all that is asked for is counts of rows that only come.
CREATE STREAM s (ts TIMESTAMP, k TEXT, a INT, b INT, WATERMARK FOR ts AS ts - INTERVAL '10 seconds');
EXPLAIN SELECT count(DISTINCT a) AS n FROM s;
EXPLAIN SELECT k, count(*) AS n, count(DISTINCT a) AS a, count(DISTINCT a) FILTER (WHERE b > 3) AS c, count(DISTINCT b + 1) AS b FROM s GROUP BY k;
EXPLAIN SELECT window_end, count(DISTINCT k) AS n FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY window_end;
EXPLAIN SELECT k, count(DISTINCT a) AS n, sum(b) AS b FROM s GROUP BY k;
EXPLAIN SELECT n, count(DISTINCT k) AS m FROM (SELECT k, count(*) AS n FROM s GROUP BY k) AS x GROUP BY n;
