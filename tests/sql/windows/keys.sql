-- Which window columns a GROUP BY names decides when a group ends; other keys and expressions may stand beside them.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '3 seconds');
INSERT INTO s VALUES
  ('2024-01-01 00:00:01', 'a', 1), ('2024-01-01 00:00:08', 'b', 2), ('2024-01-01 00:00:13', 'a', 4), ('2024-01-01 00:00:09', 'late', 8),
  ('2024-01-01 00:00:14', 'b', 16), ('2024-01-01 00:00:42', 'a', 32), ('2024-01-01 00:00:38', 'late', 64), ('2024-01-01 00:00:41', 'c', 128);
SELECT window_end, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_end;
SELECT window_time, k, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_time, k;
SELECT window_start, window_end, upper(k) AS u, v > 3 AS big, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, upper(k), v > 3;
SELECT date_trunc('minute', window_start) AS minute, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY date_trunc('minute', window_start);
SELECT k, count(*) AS n FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds') GROUP BY k;
SELECT count(*) AS n, count(DISTINCT window_start) AS windows FROM TUMBLE(s, ts, INTERVAL '10 seconds');
SELECT DISTINCT window_start, k FROM TUMBLE(s, ts, INTERVAL '10 seconds');
SELECT DISTINCT window_start FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds');
SELECT window_start, count(DISTINCT k) AS ks, array_agg(v ORDER BY v) AS vs, string_agg(k, '' ORDER BY v) AS text, avg(v) AS mean, median(v) AS mid
FROM TUMBLE(s, ts, INTERVAL '20 seconds') GROUP BY window_start;
SELECT window_start, total FROM (SELECT window_start, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start) WHERE total > 6;
SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') WHERE window_start > '2024-01-01 00:00:05' GROUP BY window_start HAVING min(v) < 100;
SELECT max(n) AS busiest, min(n) AS quietest FROM (SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start);
SELECT window_start, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start ORDER BY total DESC, window_start LIMIT 2;
SELECT window_start, k, v FROM TUMBLE(s, ts, INTERVAL '10 seconds') UNION SELECT window_end, k, v FROM TUMBLE(s, ts, INTERVAL '10 seconds');
