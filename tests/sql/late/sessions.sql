-- A row is late for sessions when the watermark of its own partition has passed the row itself, by more than the grace: also
-- where a session that it would belong to is still open, and where it would be a session of its own.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '2 seconds') WITH (late_topic = 's_late');
INSERT INTO s VALUES
  ('2024-01-01 00:00:10', 'a', 1), ('2024-01-01 00:00:20', 'a', 2), ('2024-01-01 00:00:18', 'a', 4), ('2024-01-01 00:00:17.999', 'a', 8),
  ('2024-01-01 00:00:15', 'b', 16), ('2024-01-01 00:00:40', 'a', 32), ('2024-01-01 00:00:35', 'b', 64), ('2024-01-01 00:00:29', 'a', 128),
  (NULL, 'a', 256), ('2024-01-01 00:00:38', 'b', 512);
SELECT * FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k);
SELECT k, WINDOWSTART AS window_start, WINDOWEND AS window_end, sum(v) AS total FROM s WINDOW SESSION (10 SECONDS) GROUP BY k;
SELECT k, WINDOWSTART AS window_start, WINDOWEND AS window_end, sum(v) AS total FROM s WINDOW SESSION (10 SECONDS, GRACE PERIOD 1 SECOND) GROUP BY k;
SELECT k, WINDOWSTART AS window_start, WINDOWEND AS window_end, sum(v) AS total FROM s WINDOW SESSION (10 SECONDS, GRACE PERIOD 9 SECONDS) GROUP BY k;
SELECT v, window_end FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k, GRACE => INTERVAL '1 minute');
-- Through a filter, a view, another name and a window: the mark goes with the row; and where columns are not asked for.
CREATE VIEW big AS SELECT ts AS at, v FROM s WHERE v > 3;
SELECT v, window_start FROM SESSION(big, at, INTERVAL '5 seconds');
SELECT window_start, count(*) AS n FROM SESSION((SELECT ts FROM s UNION ALL SELECT at FROM big), ts, INTERVAL '5 seconds') GROUP BY window_start, window_end;
SELECT v, window_start FROM SESSION((SELECT ts, v, window_start AS w FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds')), ts, INTERVAL '5 seconds', PARTITION => w);
SELECT v, window_start FROM TUMBLE((SELECT ts, v, window_start AS w FROM SESSION(s, ts, INTERVAL '5 seconds', GRACE => INTERVAL '4 seconds')), ts, INTERVAL '10 seconds');
CREATE STREAM visits AS SELECT k, window_start, window_end, sum(v) AS total FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k) GROUP BY k, window_start, window_end EMIT FINAL;
SELECT k, window_start, window_end, total FROM visits;
SELECT k, v FROM s_late;
