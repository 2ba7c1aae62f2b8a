-- The watermark comes from every row of the stream, also from rows that a WHERE drops, before or after the window.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts);
INSERT INTO s VALUES
  ('2024-01-01 00:00:05', 'a', 1), ('2024-01-01 00:01:00', 'tick', 0), ('2024-01-01 00:00:06', 'a', 2), ('2024-01-01 00:01:01', 'a', 4);
SELECT window_start, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '10 seconds') WHERE k = 'a' GROUP BY window_start;
SELECT window_start, sum(v) AS total FROM TUMBLE((SELECT * FROM s WHERE k = 'a'), ts, INTERVAL '10 seconds') GROUP BY window_start;
CREATE VIEW only_a AS SELECT ts, v * 10 AS v10 FROM s WHERE k = 'a';
SELECT window_start, sum(v10) AS total FROM TUMBLE(only_a, ts, INTERVAL '10 seconds') GROUP BY window_start;
