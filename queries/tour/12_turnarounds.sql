-- Turnarounds: after an aeroplane from New York has arrived somewhere, when does it next leave New York?
--
--     millstream run queries/tour/12_turnarounds.sql
--
-- An arrival is joined with all departures of the same aeroplane in the 24 hours after it, and of these the earliest is kept.
-- An earlier one may turn up later, so what the query gives changes: a materialized view holds the rows as they are now.

CREATE STREAM arrivals (
  event_time  TIMESTAMP,   -- when the flight arrived, UTC
  flight_id   TEXT,        -- airline, number, day, airport: 'UA1545-20130101-EWR'
  tailnum     TEXT,        -- what is painted on the aeroplane: 'N14228'
  dest        TEXT,
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/nyc_flights/arrivals.jsonl.gz', format = 'json');

CREATE STREAM departures (
  event_time  TIMESTAMP,   -- when it left, UTC
  tailnum     TEXT,
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/nyc_flights/departures.jsonl.gz', format = 'json');

CREATE MATERIALIZED VIEW turnarounds AS
SELECT a.flight_id, a.tailnum, a.dest, a.event_time AS arrived, min(d.event_time) AS left_again
FROM arrivals AS a
JOIN departures AS d
  ON d.tailnum = a.tailnum
  AND d.event_time > a.event_time
  AND d.event_time < a.event_time + INTERVAL '24 hours'
GROUP BY a.flight_id, a.tailnum, a.dest, a.event_time;

-- 13,646 turnarounds: 613 minutes in the mean, 68 at the least.
SELECT
  count(*) AS turnarounds,
  round(avg(extract(epoch FROM left_again) - extract(epoch FROM arrived)) / 60) AS mean_minutes,
  min(extract(epoch FROM left_again) - extract(epoch FROM arrived)) / 60 AS least_minutes
FROM turnarounds;

-- The shortest, which are from airports nearby.
SELECT tailnum, dest, arrived, left_again, left_again - arrived AS away
FROM turnarounds
ORDER BY left_again - arrived, arrived, tailnum
LIMIT 5;
