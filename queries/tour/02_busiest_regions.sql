-- The busiest regions: where did the earth shake most within any six hours of one week in 2018?
--
--     millstream run queries/tour/02_busiest_regions.sql
--
-- HOP makes windows that overlap: six hours long, a new one every hour, so each quake counts in six.

-- One row is one earthquake. The file is sorted by event_time, so nothing in it comes late.
CREATE STREAM quakes (
  event_time TIMESTAMP,   -- when it happened, UTC
  quake_id   TEXT,
  magnitude  DOUBLE,
  depth_km   DOUBLE,
  place      TEXT,        -- '37km NNE of Amboy, Washington'
  region     TEXT,        -- 'Washington'
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/quakes/quakes.jsonl.gz', format = 'json');

-- Kept in a stream of its own, so that it can be asked again without counting again.
CREATE STREAM busy_regions AS
SELECT window_start, window_end, region, count(*) AS quakes, max(magnitude) AS strongest
FROM HOP(quakes, event_time, INTERVAL '1 hour', INTERVAL '6 hours')
GROUP BY window_start, window_end, region
EMIT FINAL;

-- The ten busiest six hours of all.
SELECT window_start, window_end, region, quakes, strongest
FROM busy_regions
ORDER BY quakes DESC, window_start, region
LIMIT 10;

-- And the whole week, straight from the file: a SELECT without EMIT reads what is there and ends.
SELECT region, count(*) AS quakes, max(magnitude) AS strongest
FROM quakes
GROUP BY region
ORDER BY quakes DESC, region
LIMIT 5;
