-- Sessions of windows, windows of sessions, sessions of sessions; directly and through a stream.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '2 seconds') WITH (partitions = 2, key = 'k');
INSERT INTO s VALUES
  ('2024-01-01 00:00:01', 'a', 1), ('2024-01-01 00:00:03', 'b', 2), ('2024-01-01 00:00:08', 'a', 4), ('2024-01-01 00:00:04', 'b', 8),
  ('2024-01-01 00:00:21', 'b', 16), ('2024-01-01 00:00:17', 'a', 32), ('2024-01-01 00:00:22', 'b', 64), ('2024-01-01 00:00:19', 'a', 128),
  ('2024-01-01 00:01:00', 'b', 256), ('2024-01-01 00:00:58', 'b', 512), ('2024-01-01 00:01:05', 'a', 1024), ('2024-01-01 00:01:04.5', 'a', 2048);
CREATE VIEW visits AS
  SELECT k, window_start AS began, window_end AS ended, window_time AS t, count(*) AS n, sum(v) AS total
  FROM SESSION(s, ts, INTERVAL '3 seconds', PARTITION => k) GROUP BY k, window_start, window_end, window_time;
SELECT * FROM visits;
-- How many visits ended in each ten seconds, by the end and by the time just before it?
SELECT window_start, count(*) AS visits, sum(total) AS total FROM TUMBLE(visits, ended, INTERVAL '10 seconds') GROUP BY window_start;
SELECT window_start, count(*) AS visits, sum(total) AS total FROM TUMBLE(visits, t, INTERVAL '10 seconds') GROUP BY window_start;
SELECT window_start, window_end, count(*) AS n FROM TUMBLE((SELECT t, v FROM (SELECT window_time AS t, v FROM SESSION(s, ts, INTERVAL '3 seconds', PARTITION => k))), t, INTERVAL '20 seconds') GROUP BY window_start, window_end;
-- The start of a session is no event time: when it comes out, later ones have begun.
SELECT window_start, count(*) AS visits FROM TUMBLE(visits, began, INTERVAL '10 seconds') GROUP BY window_start;
SELECT window_start, window_end, count(*) AS visits, sum(n) AS n FROM SESSION(visits, ended, INTERVAL '15 seconds') GROUP BY window_start, window_end;
SELECT k, window_start, window_end, count(*) AS windows, sum(n) AS n
FROM SESSION((SELECT k, window_end AS e, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '5 seconds') GROUP BY k, window_start, window_end), e, INTERVAL '10 seconds', PARTITION => k)
GROUP BY k, window_start, window_end;
CREATE STREAM kept WITH (partitions = 2, key = 'k') AS SELECT k, ended, began, n, total FROM visits EMIT FINAL;
SELECT k, began, ended, n, total FROM kept;
SELECT window_start, count(*) AS visits, sum(total) AS total FROM TUMBLE(kept, ended, INTERVAL '10 seconds') GROUP BY window_start;
SELECT k, window_start, window_end, sum(total) AS total FROM SESSION(kept, ended, INTERVAL '15 seconds', PARTITION => k) GROUP BY k, window_start, window_end;
