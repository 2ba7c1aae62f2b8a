-- In the air: each departure from New York with its arrival.
--
--     millstream run queries/tour/11_in_the_air.sql
--
-- Two streams joined by the flight, and by time: an arrival is looked for up to 20 hours after the departure. With that
-- bound a departure is kept for 20 hours, an arrival only until the departures have come as far; without it, both for good.

CREATE STREAM departures (
  event_time  TIMESTAMP,   -- when the flight left, UTC
  flight_id   TEXT,        -- airline, number, day, airport: 'UA1545-20130101-EWR'
  origin      TEXT,        -- EWR, JFK or LGA
  dest        TEXT,        -- HNL is Honolulu
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/nyc_flights/departures.jsonl.gz', format = 'json');

CREATE STREAM arrivals (
  event_time  TIMESTAMP,   -- when it arrived, UTC
  flight_id   TEXT,
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/nyc_flights/arrivals.jsonl.gz', format = 'json');

CREATE STREAM flown AS
SELECT d.flight_id, d.origin, d.dest, d.event_time AS departed, a.event_time AS arrived
FROM departures AS d
JOIN arrivals AS a
  ON a.flight_id = d.flight_id
  AND a.event_time BETWEEN d.event_time AND d.event_time + INTERVAL '20 hours'
EMIT CHANGES;

-- 26,468 of 26,483 flights arrived. The others were diverted, or nobody wrote down when.
SELECT count(*) AS flights, min(arrived - departed) AS shortest, max(arrived - departed) AS longest FROM flown;

-- The longest ways.
SELECT dest, count(*) AS flights, avg(extract(epoch FROM arrived) - extract(epoch FROM departed)) / 3600 AS hours
FROM flown
GROUP BY dest
ORDER BY hours DESC, dest
LIMIT 5;

-- Who was in the air on a Tuesday at noon in New York?
SELECT origin, count(*) AS planes
FROM flown
WHERE departed <= '2013-01-15 17:00:00' AND arrived > '2013-01-15 17:00:00'
GROUP BY origin
ORDER BY origin;
