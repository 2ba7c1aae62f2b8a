-- A row between two sessions of a key makes one of them.
SET step_rows = 1;
CREATE STREAM s (at TIMESTAMP, k TEXT, WATERMARK FOR at AS at - INTERVAL '1 hour');
-- FEED s
-- at                  | k
-- 2026-01-31 12:00:00 | a
-- 2026-01-31 12:09:00 | a
-- 2026-01-31 12:04:30 | a
-- 2026-01-31 12:04:30 | b
SELECT k, window_start, window_end, count(*) AS n
FROM SESSION(TABLE s PARTITION BY k, DESCRIPTOR(at), INTERVAL '5' MINUTES)
GROUP BY k, window_start, window_end EMIT CHANGES;
-- _op | k | window_start        | window_end          | n
-- +   | a | 2026-01-31 12:00:00 | 2026-01-31 12:05:00 | 1
-- +   | a | 2026-01-31 12:09:00 | 2026-01-31 12:14:00 | 1
-- -   | a | 2026-01-31 12:00:00 | 2026-01-31 12:05:00 | 1
-- -   | a | 2026-01-31 12:09:00 | 2026-01-31 12:14:00 | 1
-- +   | a | 2026-01-31 12:00:00 | 2026-01-31 12:14:00 | 3
-- +   | b | 2026-01-31 12:04:30 | 2026-01-31 12:09:30 | 1
