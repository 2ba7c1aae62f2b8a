-- Killed twice, once behind a checkpoint and once without one since, a job writes every result once.
SET checkpoint_interval = '10 s';
CREATE STREAM s (at TIMESTAMP, k TEXT, a BIGINT, WATERMARK FOR at AS at);
CREATE STREAM big AS SELECT k, a FROM s WHERE a > 1;
CREATE MATERIALIZED VIEW sums AS SELECT k, count(*) AS n, sum(a) AS a FROM s GROUP BY k;
CREATE STREAM hourly AS
SELECT window_start, sum(a) AS a FROM TUMBLE(s, at, INTERVAL '1 hour') GROUP BY window_start EMIT FINAL;
-- FEED s
-- at                  | k | a
-- 2026-01-31 12:00:00 | x | 1
-- 2026-01-31 12:10:00 | y | 2
-- CLOCK + 1 min
-- RESTART KILL
-- FEED s
-- at                  | k | a
-- 2026-01-31 12:20:00 | x | 4
-- 2026-01-31 13:00:00 | y | 8
-- RESTART KILL
SELECT * FROM big ORDER BY a;
-- k | a
-- y | 2
-- x | 4
-- y | 8
SELECT * FROM sums ORDER BY k;
-- k | n | a
-- x | 2 | 5
-- y | 2 | 10
SELECT * FROM hourly;
-- window_start        | a
-- 2026-01-31 12:00:00 | 7

-- FEED s
-- at                  | k | a
-- 2026-01-31 14:00:00 | x | 16
-- RESTART
SELECT * FROM big ORDER BY a;
-- k | a
-- y | 2
-- x | 4
-- y | 8
-- x | 16
SELECT * FROM sums ORDER BY k;
-- k | n | a
-- x | 3 | 21
-- y | 2 | 10
SELECT * FROM hourly ORDER BY window_start;
-- window_start        | a
-- 2026-01-31 12:00:00 | 7
-- 2026-01-31 13:00:00 | 8
