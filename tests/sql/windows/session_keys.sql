-- Keys that are expressions, items of the select list by number or name, numbers with two zeros, lists, and keys given twice.
CREATE STREAM s (ts TIMESTAMP, k TEXT, x DOUBLE, v INT, WATERMARK FOR ts AS ts);
INSERT INTO s SELECT CAST(column1 AS TIMESTAMP), column2, CAST(column3 AS DOUBLE), column4 FROM (VALUES
  ('2024-01-01 00:00:00', 'a', '0', 1), ('2024-01-01 00:00:04', 'A', '-0', 2), ('2024-01-01 00:00:08', 'b', '0', 4),
  ('2024-01-01 00:00:12', 'a', 'NaN', 8), ('2024-01-01 00:00:13', 'B', 'NaN', 16), ('2024-01-01 00:00:16', 'a', '0', 32));
SELECT k, v, window_start, window_end FROM SESSION(s, ts, INTERVAL '5 seconds', PARTITION => upper(k));
SELECT * FROM SESSION(s PARTITION BY upper(k), v % 2, ts, INTERVAL '5 seconds') AS w;
SELECT s.v, s.window_start FROM SESSION(s, ts, INTERVAL '5 seconds', PARTITION => lower(s.k)) WHERE s.window_end IS NOT NULL;
SELECT upper(k) AS u, WINDOWSTART AS window_start, WINDOWEND AS window_end, sum(v) AS total FROM s WINDOW SESSION (5 SECONDS) GROUP BY upper(k);
SELECT upper(k) AS u, WINDOWSTART AS window_start, WINDOWEND AS window_end, sum(v) AS total FROM s WINDOW SESSION (5 SECONDS) GROUP BY u;
SELECT upper(k) AS u, SESSION_END(ts, INTERVAL '5' SECOND) AS e, sum(v) AS total FROM s GROUP BY 1, SESSION(ts, INTERVAL '5' SECOND);
SELECT WINDOWSTART AS window_start, upper(k) AS k, sum(v) AS total FROM s WINDOW SESSION (5 SECONDS) GROUP BY 1, k;
SELECT WINDOWSTART AS window_start, sum(v) AS total FROM s WINDOW SESSION (5 SECONDS) GROUP BY 1 = 1;
SELECT window_start, window_end, sum(v) AS total FROM SESSION(s, ts, INTERVAL '9 seconds', PARTITION => x) GROUP BY window_start, window_end, x;
SELECT v, window_start FROM SESSION((SELECT *, [k, 'x'] AS l FROM s), ts, INTERVAL '9 seconds', PARTITION => (l, l));
SELECT k, window_start, count(*) AS n FROM SESSION(s, ts, INTERVAL '9 seconds', PARTITION => (k, k, s.k)) GROUP BY k, window_start, window_end;
-- Groups that are not the sessions' keys put sessions together that begin and end together, or part them further.
SELECT window_start, window_end, count(*) AS n FROM SESSION(s, ts, INTERVAL '5 seconds', PARTITION => k) GROUP BY window_start, window_end;
SELECT window_start, window_end, v > 1 AS big, count(*) AS n FROM SESSION(s, ts, INTERVAL '5 seconds', PARTITION => upper(k)) GROUP BY window_start, window_end, v > 1;
