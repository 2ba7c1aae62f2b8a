-- Lifetimes of storms: how long did each Atlantic storm of 46 years live, and which came back to life?
--
--     millstream run queries/tour/06_storm_lifetimes.sql
--
-- Fixes of a storm come every six hours, those of many storms side by side. A storm of which nothing has
-- been heard for a day is over; if it is heard of again, that is another life of the same storm. The
-- data hold only what is tropical, so a storm that was something else for a while has two lives.

CREATE STREAM storms (
  event_time  TIMESTAMP,
  storm_id    TEXT,        -- 'Amy-1975'
  name        TEXT,
  status      TEXT,        -- tropical depression, tropical storm, hurricane
  wind_kt     BIGINT,
  pressure_mb BIGINT,
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/storms/storms.jsonl.gz', format = 'json');

CREATE STREAM lives AS
SELECT
  storm_id,
  window_start                        AS began,
  window_end - INTERVAL '24' HOUR     AS ended,
  count(*)                            AS fixes,
  max(wind_kt)                        AS strongest_wind_kt,
  min(pressure_mb)                    AS lowest_pressure_mb
FROM TABLE(SESSION(TABLE storms PARTITION BY storm_id, DESCRIPTOR(event_time), INTERVAL '24' HOUR))
GROUP BY storm_id, window_start, window_end
EMIT FINAL;

-- 512 storms, and how many lives?
SELECT count(DISTINCT storm_id) AS storms, count(*) AS lives, sum(fixes) AS fixes FROM lives;

-- The longest lives.
SELECT storm_id, began, ended, ended - began AS lived, strongest_wind_kt, lowest_pressure_mb
FROM lives
ORDER BY ended - began DESC, storm_id
LIMIT 5;

-- The storms that came back most often.
SELECT storm_id, count(*) AS lives, min(began) AS began, max(ended) AS ended
FROM lives
GROUP BY storm_id
HAVING count(*) > 1
ORDER BY lives DESC, storm_id
LIMIT 5;
