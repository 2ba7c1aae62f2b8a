-- Rapid intensification: where did a storm's wind grow by 30 knots or more within a day?
--
--     millstream run queries/tour/14_rapid_intensification.sql
--
-- The stream is joined with itself: each fix of a storm with the one of 24 hours before. Equal times bound the join's state as
-- well. A join pairs rows, not keys: 19 times a storm has two fixes at one time, and both of them are paired.

-- One row is a storm as it was at one time, mostly every six hours. The file is sorted by event_time.
CREATE STREAM storms (
  event_time  TIMESTAMP,   -- UTC
  storm_id    TEXT,        -- its name and year
  status      TEXT,        -- 'tropical storm', 'hurricane' …
  wind_kt     BIGINT,      -- the strongest sustained wind, knots
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/storms/storms.jsonl.gz', format = 'json');

CREATE STREAM a_day_apart AS
SELECT later.storm_id, later.event_time, earlier.wind_kt AS wind_before, later.wind_kt AS wind_after
FROM storms AS earlier
JOIN storms AS later
  ON later.storm_id = earlier.storm_id
  AND later.event_time = earlier.event_time + INTERVAL '24 hours'
EMIT CHANGES;

-- 610 observations, in 167 storms.
SELECT count(*) AS observations, count(DISTINCT storm_id) AS storms
FROM a_day_apart
WHERE wind_after - wind_before >= 30;

-- The fastest.
SELECT storm_id, event_time, wind_before, wind_after
FROM a_day_apart
ORDER BY wind_after - wind_before DESC, storm_id, event_time
LIMIT 5;

-- Times at which a storm is in more than one pair.
SELECT sum(pairs) AS pairs, count(*) AS times, count(*) FILTER (WHERE pairs > 1) AS times_with_more
FROM (SELECT storm_id, event_time, count(*) AS pairs FROM a_day_apart GROUP BY storm_id, event_time);
