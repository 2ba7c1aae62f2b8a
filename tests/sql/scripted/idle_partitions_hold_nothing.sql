-- A partition that is silent for idle_timeout no longer holds the watermark back.
SET idle_timeout = '10 s';
CREATE STREAM s (at TIMESTAMP, k BIGINT, WATERMARK FOR at AS at) WITH (partitions = 2, key = 'k');
CREATE STREAM minutes AS
SELECT window_start, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY window_start EMIT FINAL;
-- FEED s
-- at                  | k
-- 2026-01-31 12:00:10 | 1
-- 2026-01-31 12:00:20 | 2
-- 2026-01-31 12:00:30 | 3
-- 2026-01-31 12:00:40 | 4
SELECT * FROM minutes;
-- window_start | n

-- CLOCK + 20 s
-- FEED s
-- at                  | k
-- 2026-01-31 12:05:00 | 1
SELECT * FROM minutes;
-- window_start        | n
-- 2026-01-31 12:00:00 | 4
