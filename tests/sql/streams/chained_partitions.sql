-- The same through streams of several partitions, keyed in another way at each step.
CREATE STREAM s (ts TIMESTAMP, k TEXT, g INT, v INT, WATERMARK FOR ts AS ts - INTERVAL '2 seconds') WITH (partitions = 4, key = 'k');
INSERT INTO s VALUES
  ('2024-01-01 00:00:01', 'a', 1, 1), ('2024-01-01 00:00:02', 'b', 1, 2), ('2024-01-01 00:00:03', 'c', 2, 4), ('2024-01-01 00:00:21', 'a', 2, 8),
  ('2024-01-01 00:00:04', 'b', 1, 16), ('2024-01-01 00:00:22', 'c', 1, 32), ('2024-01-01 00:00:05', 'c', 2, 64), ('2024-01-01 00:00:33', 'b', 2, 128),
  ('2024-01-01 00:00:09', 'd', 1, 256), ('2024-01-01 00:00:44', 'a', 1, 512), ('2024-01-01 00:00:39', 'a', 1, 1024), ('2024-01-01 00:00:20', 'd', 2, 2048);
CREATE STREAM by_g WITH (partitions = 3, key = 'g') AS SELECT ts, g, v FROM s;
SELECT window_start, g, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, g;
SELECT window_start, g, sum(v) AS total FROM TUMBLE(by_g, ts, INTERVAL '10 seconds') GROUP BY window_start, g;
CREATE STREAM sums WITH (partitions = 2) AS
  SELECT window_time AS at, g, sum(v) AS total FROM TUMBLE(by_g, ts, INTERVAL '10 seconds') GROUP BY window_time, g EMIT FINAL;
SELECT window_start, sum(total) AS total, count(*) AS n FROM TUMBLE(sums, at, INTERVAL '20 seconds') GROUP BY window_start;
