-- Where the window stands in the group, WHERE comes before it: what it leaves out joins no sessions, also through joins of
-- conditions, subqueries and metadata columns. Over a window in FROM it comes after.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts);
INSERT INTO s VALUES
  ('2024-01-01 00:00:00', 'a', 1), ('2024-01-01 00:00:04', 'a', 2), ('2024-01-01 00:00:08', 'a', 3),
  ('2024-01-01 00:00:09', 'b', 4), ('2024-01-01 00:00:13', 'b', 5), ('2024-01-01 00:00:17', 'b', 6);
SELECT k, WINDOWSTART AS ws, WINDOWEND AS we, count(*) AS n FROM s WINDOW SESSION (5 SECONDS) WHERE v NOT IN (2, 5) GROUP BY k;
SELECT k, SESSION_START(ts, INTERVAL '5' SECOND) AS ws, count(*) AS n FROM s WHERE v <> 2 GROUP BY SESSION(ts, INTERVAL '5' SECOND), k;
SELECT x.k, WINDOWSTART AS ws, count(*) AS n FROM s AS x WINDOW SESSION (5 SECONDS) WHERE x.v <> 2 AND x._offset < 5 GROUP BY x.k, _partition HAVING count(*) > 0;
SELECT k, window_start AS ws, count(*) AS n FROM SESSION(s, ts, INTERVAL '5 seconds', PARTITION => k) WHERE v NOT IN (2, 5) GROUP BY k, window_start, window_end;
SELECT k, WINDOWSTART AS ws, count(*) AS n FROM s WINDOW SESSION (5 SECONDS) WHERE v <> (SELECT 2 AS two) GROUP BY k;
