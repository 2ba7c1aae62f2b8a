-- The five busiest regions of any six hours: tour 02 with a ranking.
--
--     millstream run queries/tour/08_busiest_regions_top5.sql
--
-- Where two regions shook equally often the stronger quake decides, then the name. (If nothing were said, the other columns
-- would decide by their values: an answer never hangs on which row came first.)

CREATE STREAM quakes (
  event_time TIMESTAMP,   -- when it happened, UTC
  quake_id   TEXT,
  magnitude  DOUBLE,
  region     TEXT,        -- 'Washington'
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/quakes/quakes.jsonl.gz', format = 'json');

CREATE STREAM top5 AS
SELECT window_start, window_end, region, quakes, strongest, place
FROM (
  SELECT window_start, window_end, region, count(*) AS quakes, max(magnitude) AS strongest,
    row_number() OVER (
      PARTITION BY window_start, window_end ORDER BY count(*) DESC, max(magnitude) DESC, region
    ) AS place
  FROM HOP(quakes, event_time, INTERVAL '1 hour', INTERVAL '6 hours')
  GROUP BY window_start, window_end, region
)
WHERE place <= 5
EMIT FINAL;

-- One six hours of them.
SELECT region, quakes, strongest, place
FROM top5
WHERE window_start = '2018-02-03 00:00:00'
ORDER BY place;

-- Which regions were among the five, in how many of the windows, and in how many the first.
SELECT region, count(*) AS windows, count(*) FILTER (WHERE place = 1) AS first
FROM top5
GROUP BY region
ORDER BY windows DESC, region
LIMIT 8;
