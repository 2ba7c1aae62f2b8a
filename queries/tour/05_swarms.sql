-- Swarms: where did the earth shake again and again, with never more than two hours of rest?
--
--     millstream run queries/tour/05_swarms.sql
--
-- One session for each region, of quakes of magnitude 1 and more; ten of them or more are a swarm.
-- This is the clause as ksqlDB writes it: the window stands beside the group, whose key keeps the
-- sessions apart, and WHERE says which rows make sessions at all.

CREATE STREAM quakes (
  event_time TIMESTAMP,   -- when it happened, UTC
  quake_id   TEXT,
  magnitude  DOUBLE,
  depth_km   DOUBLE,
  place      TEXT,        -- '37km NNE of Amboy, Washington'
  region     TEXT,        -- 'Washington'
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/quakes/quakes.jsonl.gz', format = 'json');

-- A swarm is told once, when it is over: two hours after its last quake.
CREATE STREAM swarms AS
SELECT
  region,
  WINDOWSTART                  AS began,
  WINDOWEND - INTERVAL '2 hours' AS ended,
  count(*)                     AS quakes,
  max(magnitude)               AS strongest,
  round(avg(depth_km), 1)      AS avg_depth_km
FROM quakes WINDOW SESSION (2 HOURS)
WHERE magnitude >= 1
GROUP BY region
HAVING count(*) >= 10
EMIT FINAL;

SELECT region, began, ended, quakes, strongest, avg_depth_km
FROM swarms
ORDER BY quakes DESC, began, region;
