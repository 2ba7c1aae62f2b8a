-- The airport's day: when does an airport wake up, when does it fall asleep, and how many flights leave in
-- between? Nobody says when a day begins; the flights do: two hours without a departure is a night.
--
--     millstream run queries/tour/04_airport_day.sql
--
-- SESSION puts the rows of a key together as long as none is further than the gap from the next. Unlike
-- an hour, a session has no end that is known beforehand: it is over when the watermark has passed its
-- last row by the gap.

CREATE STREAM departures (
  event_time    TIMESTAMP,   -- when the flight left, UTC
  flight_id     TEXT,
  carrier       TEXT,
  origin        TEXT,        -- EWR, JFK or LGA
  dest          TEXT,
  dep_delay_min BIGINT,      -- below zero: it left early
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/nyc_flights/departures.jsonl.gz', format = 'json');

-- Each airport's days, each sent once, when it is over. window_end is the last departure and two hours.
CREATE STREAM airport_days AS
SELECT
  origin,
  window_start                         AS first_departure,
  window_end - INTERVAL '2 hours'      AS last_departure,
  count(*)                             AS flights,
  count(DISTINCT dest)                 AS destinations,
  round(avg(dep_delay_min), 1)         AS avg_delay
FROM SESSION(departures, event_time, INTERVAL '2 hours', PARTITION => origin)
GROUP BY origin, window_start, window_end
EMIT FINAL;

-- January has 31 days, and so has each airport. Which day was the busiest?
SELECT origin, count(*) AS days, max(flights) AS most_flights, min(flights) AS fewest_flights
FROM airport_days
GROUP BY origin
ORDER BY origin;

-- The three shortest days of each airport's month: when it closed, or when few would fly.
SELECT origin, first_departure, last_departure, flights, destinations, avg_delay
FROM airport_days
ORDER BY flights, origin, first_departure
LIMIT 9;
