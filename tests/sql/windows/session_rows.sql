-- Rows out of order merge sessions; rows exactly one gap apart belong together; equal rows count as often as they come;
-- a null key is a key, and a row without a time is in no session.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '1 hour');
INSERT INTO s VALUES
  ('2024-01-01 00:00:00', 'a', 1), ('2024-01-01 00:00:20', 'a', 2), ('2024-01-01 00:00:40', 'a', 4), ('2024-01-01 00:00:10', 'a', 8),
  ('2024-01-01 00:00:00', 'b', 16), ('2024-01-01 00:00:10.000000001', 'b', 32), ('2024-01-01 00:00:05', NULL, 64),
  ('2024-01-01 00:00:14', NULL, 128), (NULL, 'a', 256), ('2024-01-01 00:00:30', 'a', 512), ('2024-01-01 00:00:30', 'a', 512),
  ('2024-01-01 00:01:30', 'a', NULL), ('2024-01-01 00:00:51', 'a', 1024);
SELECT * FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k);
SELECT k, window_start, window_end, count(*) AS n, sum(v) AS total FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k) GROUP BY k, window_start, window_end;
SELECT window_start, window_end, sum(v) AS total FROM SESSION(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end;
SELECT window_start, window_end, sum(v) AS total FROM SESSION(s, ts, INTERVAL '11 seconds') GROUP BY window_start, window_end;
-- A filter on the key may come first; one on anything else must come after, or it would part sessions.
SELECT k, v, window_start, window_end FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k) WHERE k = 'a' AND v > 100;
SELECT k, v, window_start, window_end FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k) WHERE v IN (1, 4) OR k IS NULL;
SELECT k, v, window_start, window_end FROM SESSION((SELECT * FROM s WHERE v IN (1, 4) OR k IS NULL), ts, INTERVAL '10 seconds', PARTITION => k);
SELECT window_start FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k) WHERE window_end > '2024-01-01 00:01:00';
SELECT count(*) AS n FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k);
SELECT DISTINCT k, window_start FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k);
-- By the start alone no session is known to be over.
SELECT k, window_start, count(*) AS n FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k) GROUP BY k, window_start;
SELECT window_time, count(*) AS n FROM SESSION(s, ts, INTERVAL '10 seconds', PARTITION => k) GROUP BY window_time;
