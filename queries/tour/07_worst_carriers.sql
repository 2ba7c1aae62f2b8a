-- The worst three airlines of every six hours: by their average delay, of those with ten departures or more.
--
--     millstream run queries/tour/07_worst_carriers.sql
--
-- row_number() ranks the airlines of each six hours, and a condition on the rank keeps the first three. Since the ranking
-- is of a window's rows, it is final when the window is over, and its state is dropped: EMIT FINAL sends each three once.

-- One row is one flight that left New York in January 2013. The file is sorted by event_time.
CREATE STREAM departures (
  event_time     TIMESTAMP,   -- when the flight left, UTC
  flight_id      TEXT,
  carrier        TEXT,        -- two letters: EV is ExpressJet, UA United
  origin         TEXT,        -- EWR, JFK or LGA
  dep_delay_min  BIGINT,      -- below zero: it left early
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/nyc_flights/departures.jsonl.gz', format = 'json');

CREATE STREAM worst_carriers AS
SELECT window_start, window_end, carrier, flights, avg_delay, place
FROM (
  SELECT *, row_number() OVER (PARTITION BY window_start, window_end ORDER BY avg_delay DESC, carrier) AS place
  FROM (
    SELECT window_start, window_end, carrier, count(*) AS flights, avg(dep_delay_min) AS avg_delay
    FROM TUMBLE(departures, event_time, INTERVAL '6 hours')
    GROUP BY window_start, window_end, carrier
    HAVING count(*) >= 10
  )
)
WHERE place <= 3
EMIT FINAL;

-- The worst of all.
SELECT window_start, carrier, flights, round(avg_delay, 1) AS avg_delay, place
FROM worst_carriers
ORDER BY avg_delay DESC
LIMIT 6;

-- How often each airline was among the three, and how often it was the worst.
SELECT carrier, count(*) AS times, count(*) FILTER (WHERE place = 1) AS worst
FROM worst_carriers
GROUP BY carrier
ORDER BY times DESC, carrier;
