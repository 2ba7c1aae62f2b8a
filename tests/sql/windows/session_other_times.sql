-- Sessions by a column of which no watermark speaks: no row is late, and none is ever over.
CREATE STREAM s (ts TIMESTAMP, other TIMESTAMP, v INT, WATERMARK FOR ts AS ts);
CREATE STREAM u (ts TIMESTAMP, v INT);
INSERT INTO s VALUES
  ('2024-01-01 00:10:01', '2024-01-01 00:05:00', 1), ('2024-01-01 00:10:30', '2024-01-01 00:00:01', 2),
  ('2024-01-01 00:00:05', '2024-01-01 00:05:01', 4), ('2024-01-01 00:10:31', NULL, 8), ('2024-01-01 00:10:40', '2024-01-01 00:00:03', 16);
INSERT INTO u VALUES ('2024-01-01 00:00:30', 1), ('2024-01-01 00:00:01', 2), (NULL, 4), ('2024-01-01 00:00:29', 8);
SELECT v, window_start, window_end FROM SESSION(s, other, INTERVAL '10 seconds');
SELECT window_start, window_end, sum(v) AS total FROM SESSION(s, other, INTERVAL '10 seconds') GROUP BY window_start, window_end;
SELECT v, window_start FROM SESSION((SELECT ts - INTERVAL '1 hour' AS earlier, v FROM s), earlier, INTERVAL '10 seconds');
SELECT v, window_start FROM SESSION((SELECT ts AS renamed, v FROM s), renamed, INTERVAL '10 seconds');
SELECT v, window_start FROM SESSION(u, ts, INTERVAL '10 seconds');
SELECT sum(v) AS total FROM u GROUP BY SESSION(ts, INTERVAL '10' SECOND);
