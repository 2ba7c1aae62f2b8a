-- Each change of a hopping window's count, as it happens.
SET step_rows = 1;
CREATE STREAM s (at TIMESTAMP, WATERMARK FOR at AS at);
-- FEED s
-- at
-- 2026-01-31 12:00:10
-- 2026-01-31 12:00:40
-- 2026-01-31 12:01:10
SELECT window_start, count(*) AS n FROM HOP(s, at, INTERVAL '30 seconds', INTERVAL '1 minute')
GROUP BY window_start EMIT CHANGES;
-- _op | window_start        | n
-- +   | 2026-01-31 11:59:30 | 1
-- +   | 2026-01-31 12:00:00 | 1
-- -   | 2026-01-31 12:00:00 | 1
-- +   | 2026-01-31 12:00:00 | 2
-- +   | 2026-01-31 12:00:30 | 1
-- -   | 2026-01-31 12:00:30 | 1
-- +   | 2026-01-31 12:00:30 | 2
-- +   | 2026-01-31 12:01:00 | 1
