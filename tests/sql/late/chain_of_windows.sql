-- Minutes into hours with grace at both, through streams: what was in time once is in time all the way down.
CREATE STREAM s (ts TIMESTAMP, k TEXT, v INT, WATERMARK FOR ts AS ts - INTERVAL '1 minute') WITH (partitions = 3, key = 'k');
INSERT INTO s VALUES
  ('2024-01-01 00:10:00', 'a', 1), ('2024-01-01 00:09:30', 'a', 2), ('2024-01-01 00:58:59', 'b', 4), ('2024-01-01 01:00:10', 'b', 8),
  ('2024-01-01 00:59:20', 'b', 16), ('2024-01-01 02:30:00', 'c', 32), ('2024-01-01 00:20:00', 'c', 64), ('2024-01-01 01:01:00', 'a', 128),
  ('2024-01-01 00:59:59', 'a', 256), ('2024-01-01 00:58:00', 'a', 512), ('2024-01-01 03:00:00', 'b', 1024), ('2024-01-01 03:00:00', 'a', 2048);
CREATE STREAM minutes WITH (partitions = 2, key = 'k') AS
  SELECT k, WINDOWSTART AS started, WINDOWEND AS ended, sum(v) AS total
  FROM s WINDOW TUMBLING (SIZE 1 MINUTE, GRACE PERIOD 1 MINUTE) GROUP BY k EMIT FINAL;
CREATE STREAM hours AS
  SELECT window_start, k, sum(total) AS total, count(*) AS minutes FROM TUMBLE(minutes, ended, INTERVAL '1 hour') GROUP BY window_start, k EMIT FINAL;
SELECT k, started, ended, total FROM minutes;
SELECT window_start, k, total, minutes FROM hours;
SELECT window_start, k, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '1 hour') GROUP BY window_start, k;
