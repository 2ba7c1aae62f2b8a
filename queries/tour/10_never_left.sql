-- Flights that never left: which of January's flights were still on the ground twelve hours after their time?
--
--     millstream run queries/tour/10_never_left.sql
--
-- Something that does not happen has no row. An outer join shows it once it can no longer happen: the condition says how
-- long to wait, so when the watermark is twelve hours past a schedule, EMIT FINAL sends the flight if nothing has
-- matched it, and both sides forget the rows.

CREATE STREAM scheduled (
  event_time  TIMESTAMP,   -- when the flight should leave, UTC
  flight_id   TEXT,        -- airline, number, day, airport: 'UA1545-20130101-EWR'
  carrier     TEXT,        -- two letters: EV is ExpressJet, UA United
  origin      TEXT,        -- EWR, JFK or LGA
  dest        TEXT,
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/nyc_flights/scheduled.jsonl.gz', format = 'json');

CREATE STREAM departures (
  event_time  TIMESTAMP,   -- when it left, UTC
  flight_id   TEXT,
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/nyc_flights/departures.jsonl.gz', format = 'json');

CREATE STREAM never_left AS
SELECT s.event_time AS scheduled, s.flight_id, s.carrier, s.origin, s.dest
FROM scheduled AS s
LEFT JOIN departures AS d
  ON d.flight_id = s.flight_id
  AND d.event_time BETWEEN s.event_time - INTERVAL '1 hour' AND s.event_time + INTERVAL '12 hours'
WHERE d.flight_id IS NULL
EMIT FINAL;

-- 524 flights.
SELECT count(*) AS flights FROM never_left;

-- The worst days.
SELECT date_trunc('day', scheduled) AS day, count(*) AS flights
FROM never_left
GROUP BY date_trunc('day', scheduled)
ORDER BY flights DESC, day
LIMIT 5;

-- Three of them did leave, after more than twelve hours.
SELECT n.flight_id, n.scheduled, d.event_time AS departed
FROM never_left AS n
JOIN departures AS d ON d.flight_id = n.flight_id
ORDER BY n.scheduled;

-- Without a bound in time the question is which flights have not left yet: 521. Each may still leave, so this has no final answer,
-- and keeps every flight.
SELECT count(*) AS not_yet
FROM scheduled AS s
WHERE NOT EXISTS (SELECT 1 FROM departures AS d WHERE d.flight_id = s.flight_id);
