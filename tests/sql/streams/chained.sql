-- A stream made from a stream: its event time comes with it, chaining makes no row late, and its end goes down the chain.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '5 seconds');
INSERT INTO s VALUES
  ('2024-01-01 00:00:01', 'a', 1), ('2024-01-01 00:00:11', 'b', 2), ('2024-01-01 00:00:08', 'a', 4),
  ('2024-01-01 00:00:30', 'a', 8), ('2024-01-01 00:00:09', 'late', 16), ('2024-01-01 00:00:26', 'b', 32), ('2024-01-01 00:01:10', 'a', 64);
CREATE STREAM doubled AS SELECT ts, k, v * 2 AS v2 FROM s WHERE k <> 'b' OR v > 2;
SELECT window_start, count(*) AS n, sum(v2) AS total FROM TUMBLE(doubled, ts, INTERVAL '10 seconds') GROUP BY window_start;
CREATE STREAM minutes AS
  SELECT window_time AS ts, k, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_time, k EMIT FINAL;
CREATE STREAM whole AS
  SELECT window_start, window_end, count(*) AS ks, sum(total) AS total FROM TUMBLE(minutes, ts, INTERVAL '1 minute') GROUP BY window_start, window_end EMIT FINAL;
SELECT ts, k, total FROM minutes;
SELECT window_start, window_end, ks, total FROM whole;
SELECT window_start, sum(total) AS total FROM TUMBLE(minutes, ts, INTERVAL '30 seconds') GROUP BY window_start;
