-- A row that comes when its window has closed is left out, and is found in the late topic.
CREATE STREAM clicks (at TIMESTAMP, page TEXT, WATERMARK FOR at AS at - INTERVAL '10 seconds') WITH (late_topic = 'late_clicks');
CREATE STREAM per_minute AS
SELECT window_start, count(*) AS n FROM TUMBLE(clicks, at, INTERVAL '1 minute') GROUP BY window_start EMIT FINAL;
-- FEED clicks
-- at                  | page
-- 2026-01-31 12:00:10 | a
-- 2026-01-31 12:01:05 | b
-- 2026-01-31 12:00:55 | in time, by the delay
-- 2026-01-31 12:01:10 | closes the first minute
-- 2026-01-31 12:00:59 | late
-- 2026-01-31 12:02:30 | closes the second
SELECT * FROM per_minute;
-- window_start        | n
-- 2026-01-31 12:00:00 | 2
-- 2026-01-31 12:01:00 | 2
SELECT * FROM late_clicks;
-- at                  | page
-- 2026-01-31 12:00:59 | late
