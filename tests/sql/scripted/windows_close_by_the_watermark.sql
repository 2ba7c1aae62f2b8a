-- A window's result comes once, when the watermark has passed its end, and not before.
CREATE STREAM rides (at TIMESTAMP, city TEXT, fare BIGINT, WATERMARK FOR at AS at - INTERVAL '1 minute');
CREATE STREAM hourly AS
SELECT window_start, city, count(*) AS rides, sum(fare) AS fare
FROM TUMBLE(rides, at, INTERVAL '1 hour') GROUP BY window_start, city EMIT FINAL;
-- FEED rides
-- at                  | city | fare
-- 2026-01-31 12:00:00 | Rome | 5
-- 2026-01-31 12:59:59 | Rome | 7
-- 2026-01-31 12:30:00 | Oslo | 1
-- 2026-01-31 13:00:30 | Oslo | 2
SELECT * FROM hourly;
-- window_start | city | rides | fare

-- WATERMARK rides 2026-01-31 13:00:00
SELECT * FROM hourly ORDER BY city;
-- window_start        | city | rides | fare
-- 2026-01-31 12:00:00 | Oslo | 1     | 1
-- 2026-01-31 12:00:00 | Rome | 2     | 12

-- FEED rides
-- at                  | city | fare
-- 2026-01-31 12:10:00 | Rome | 100
-- 2026-01-31 13:10:00 | Rome | 3
-- 2026-01-31 14:01:00 | Rome | 4
SELECT * FROM hourly ORDER BY window_start, city;
-- window_start        | city | rides | fare
-- 2026-01-31 12:00:00 | Oslo | 1     | 1
-- 2026-01-31 12:00:00 | Rome | 2     | 12
-- 2026-01-31 13:00:00 | Oslo | 1     | 2
-- 2026-01-31 13:00:00 | Rome | 1     | 3
