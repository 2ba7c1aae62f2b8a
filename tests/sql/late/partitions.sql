-- Lateness belongs to a row and its own partition: one partition is a day ahead, and makes nothing late in the other.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts) WITH (partitions = 8, key = 'k');
INSERT INTO s VALUES
  ('2024-01-02 00:00:00', 'ahead', 1), ('2024-01-01 00:00:00', 'behind', 2),
  ('2024-01-01 00:00:05', 'ahead', 4), ('2024-01-01 00:00:05', 'behind', 8),
  ('2024-01-01 00:00:30', 'behind', 16), ('2024-01-01 00:00:06', 'behind', 32),
  ('2024-01-01 12:00:00', 'third', 64), ('2024-01-01 00:00:07', 'third', 128);
SELECT window_start, k, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, k;
SELECT window_start, sum(v) AS total, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start;
