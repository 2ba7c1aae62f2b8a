-- A window with a grace period takes rows behind the watermark.
CREATE STREAM s (at TIMESTAMP, a BIGINT, WATERMARK FOR at AS at);
CREATE STREAM sums AS
SELECT window_start, sum(a) AS a FROM s WINDOW TUMBLING (SIZE 1 MINUTE, GRACE PERIOD 30 SECONDS)
GROUP BY window_start EMIT FINAL;
-- FEED s
-- at                  | a
-- 2026-01-31 12:00:01 | 1
-- 2026-01-31 12:01:20 | 10
-- 2026-01-31 12:00:40 | 2
SELECT * FROM sums;
-- window_start | a

-- FEED s
-- at                  | a
-- 2026-01-31 12:01:30 | 20
-- 2026-01-31 12:00:50 | 4
SELECT * FROM sums;
-- window_start        | a
-- 2026-01-31 12:00:00 | 3
