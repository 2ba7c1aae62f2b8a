-- The three strongest storms over the Atlantic on every day from 1975 to 2020.
--
--     millstream run queries/tour/09_strongest_storms.sql

-- One row is a storm as it was at one time, mostly every six hours. The file is sorted by event_time.
CREATE STREAM storms (
  event_time  TIMESTAMP,   -- UTC
  storm_id    TEXT,        -- its name and year
  status      TEXT,        -- 'tropical storm', 'hurricane' …
  wind_kt     BIGINT,      -- the strongest sustained wind, knots
  pressure_mb BIGINT,      -- air pressure in its centre, millibars: the lower, the stronger
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/storms/storms.jsonl.gz', format = 'json');

CREATE STREAM strongest AS
SELECT window_start AS day, storm_id, wind_kt, pressure_mb, place
FROM (
  SELECT *, row_number() OVER (PARTITION BY window_start ORDER BY wind_kt DESC, pressure_mb, storm_id) AS place
  FROM (
    SELECT window_start, storm_id, max(wind_kt) AS wind_kt, min(pressure_mb) AS pressure_mb
    FROM TUMBLE(storms, event_time, INTERVAL '1 day')
    GROUP BY window_start, storm_id
  )
)
WHERE place <= 3
EMIT FINAL;

-- The strongest days of any storm. DISTINCT ON keeps the first row of each storm in the ORDER BY; the outer one sorts those.
SELECT storm_id, day, wind_kt, pressure_mb
FROM (SELECT DISTINCT ON (storm_id) * FROM strongest ORDER BY storm_id, wind_kt DESC, pressure_mb, day)
ORDER BY wind_kt DESC, pressure_mb
LIMIT 6;

-- Which storms were the strongest there was on the most days.
SELECT storm_id, count(*) AS days
FROM strongest
WHERE place = 1
GROUP BY storm_id
ORDER BY days DESC, storm_id
LIMIT 6;

-- Days with three storms at once, by the sum of their winds.
SELECT day, sum(wind_kt) AS winds, string_agg(storm_id, ', ' ORDER BY place) AS storms
FROM strongest
GROUP BY day
HAVING count(*) = 3
ORDER BY winds DESC, day
LIMIT 5;
