-- EXPLAIN of rankings: which ranks are wanted, of what, in which order, and what bounds the state.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '5 seconds');
EXPLAIN SELECT k, v, rn FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM s) WHERE rn <= 3;
EXPLAIN SELECT k, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM s) WHERE rn <= 3 AND v > 2;
EXPLAIN SELECT k, v FROM (SELECT *, rank() OVER (PARTITION BY k, upper(k) ORDER BY v NULLS FIRST) AS r FROM s) WHERE r = 1;
EXPLAIN SELECT k, v, r FROM (SELECT *, dense_rank() OVER (ORDER BY v DESC NULLS LAST) AS r FROM s) WHERE r BETWEEN 2 AND 4;
EXPLAIN SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY v) AS rn FROM s;
EXPLAIN SELECT k FROM (SELECT k, row_number() OVER (PARTITION BY k ORDER BY v) AS rn FROM s);
EXPLAIN SELECT k, v FROM s ORDER BY v DESC LIMIT 5 OFFSET 10;
EXPLAIN SELECT k, v FROM s LIMIT 5;
EXPLAIN SELECT k, v FROM s ORDER BY v LIMIT 0;
EXPLAIN SELECT k, v FROM s ORDER BY v;
EXPLAIN SELECT k, count(*) AS n FROM s GROUP BY k ORDER BY n DESC LIMIT 5;
EXPLAIN SELECT DISTINCT ON (k) k, v FROM s ORDER BY k, ts DESC;
EXPLAIN SELECT window_start, k, n FROM (
  SELECT window_start, k, count(*) AS n, row_number() OVER (PARTITION BY window_start ORDER BY count(*) DESC) AS rn
  FROM TUMBLE(s, ts, INTERVAL '1 hour') GROUP BY window_start, k
) WHERE rn <= 3 EMIT FINAL;
EXPLAIN SELECT window_end, k, v FROM (
  SELECT *, row_number() OVER (PARTITION BY window_start, window_end ORDER BY v DESC) AS rn FROM TUMBLE(s, ts, INTERVAL '1 hour', GRACE => INTERVAL '1 minute')
) WHERE rn <= 3 EMIT FINAL;
EXPLAIN SELECT k, v, r, rn FROM (
  SELECT k, v, rank() OVER (PARTITION BY k ORDER BY v DESC) AS r, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM s
) WHERE r <= 2;
EXPLAIN SELECT ts, k, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY ts) AS rn FROM s) WHERE rn = 1;
EXPLAIN SELECT ts, k, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY ts DESC) AS rn FROM s) WHERE rn = 1;
