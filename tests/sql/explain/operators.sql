-- EXPLAIN of each operator: what it does, whether it takes rows back, which column is the event time, what bounds its state.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, p DECIMAL(10,2), xs INT[], WATERMARK FOR ts AS ts - INTERVAL '5 seconds');
CREATE STREAM r (ts TIMESTAMP, k TEXT, v INT);
EXPLAIN SELECT * FROM s;
EXPLAIN SELECT k, v * 2 + 1 AS w, upper(k) AS "Upper", CAST(v AS TEXT) AS t FROM s WHERE v > 10 AND k <> 'x' OR p < 1.5;
EXPLAIN SELECT ts, k FROM s WHERE ts >= '2024-01-01' AND k IN ('a', 'b') AND v IS NOT NULL AND k LIKE 'a%';
EXPLAIN SELECT k, count(*) AS n FROM s GROUP BY k;
EXPLAIN SELECT count(*) AS n, sum(v) AS total FROM s;
EXPLAIN SELECT DISTINCT k FROM s;
EXPLAIN SELECT k, count(*) AS n FROM s GROUP BY k HAVING count(*) > 2;
EXPLAIN SELECT window_start, k, count(*) AS n, avg(v) AS mean FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, k EMIT FINAL;
EXPLAIN SELECT window_start, k, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, k EMIT CHANGES;
EXPLAIN SELECT window_start, window_end, max(v) AS most FROM HOP(s, ts, INTERVAL '1 minute', INTERVAL '1 hour') GROUP BY window_start, window_end EMIT FINAL;
EXPLAIN SELECT window_end, sum(v) AS total FROM CUMULATE(s, ts, INTERVAL '1 hour', INTERVAL '1 day') GROUP BY window_end EMIT FINAL;
EXPLAIN SELECT k, sum(v) AS total FROM s WINDOW TUMBLING (SIZE 1 HOUR, GRACE PERIOD 10 MINUTES) GROUP BY k EMIT FINAL;
EXPLAIN SELECT window_start, sum(v) AS t FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' DAY, INTERVAL '-8' HOUR)) GROUP BY window_start EMIT FINAL;
EXPLAIN SELECT k, v, grouping(k) AS g, count(*) AS n FROM s GROUP BY GROUPING SETS ((k, v), (k), ());
EXPLAIN SELECT k, count(DISTINCT v) AS vs, sum(v) FILTER (WHERE v > 0) AS pos, array_agg(v ORDER BY ts) AS vs_in_order, median(v) AS med FROM s GROUP BY k;
EXPLAIN SELECT total, count(*) AS ks FROM (SELECT k, sum(v) AS total FROM s GROUP BY k) GROUP BY total;
EXPLAIN SELECT k, v FROM s UNION ALL SELECT k, v FROM r;
EXPLAIN SELECT k FROM s UNION SELECT k FROM r;
EXPLAIN SELECT k, unnest(xs) AS x FROM s;
EXPLAIN SELECT window_start, sum(total) AS total FROM TUMBLE((
  SELECT window_time AS at, k, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY window_time, k
), at, INTERVAL '1 hour') GROUP BY window_start EMIT FINAL;
EXPLAIN SELECT k, _partition, _offset FROM r;
EXPLAIN SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(x, y);
EXPLAIN SELECT date_trunc('hour', ts) AS hour, CASE WHEN v > 0 THEN 'pos' ELSE 'neg' END AS sign, ts + INTERVAL '1 day' AS later, p / 3 AS third FROM s;
EXPLAIN SELECT window_start, k, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY window_start, ROLLUP (k) EMIT FINAL;
EXPLAIN SELECT window_start, count(DISTINCT k) AS ks, max(v) AS most FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY window_start EMIT CHANGES;
