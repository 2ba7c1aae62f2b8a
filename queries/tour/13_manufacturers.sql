-- Delay by manufacturer: a stream of flights joined with a table of aeroplanes.
--
--     millstream run queries/tour/13_manufacturers.sql
--
-- A table holds one row for each key, the last one that came. Of some flights the aeroplane is not in it: a left join keeps those,
-- an inner join does not. Should an aeroplane be added or corrected later, its flights move to the other manufacturer.

CREATE STREAM departures (
  event_time     TIMESTAMP,   -- when the flight left, UTC
  tailnum        TEXT,        -- what is painted on the aeroplane: 'N14228'
  dep_delay_min  BIGINT,      -- below zero: it left early
  WATERMARK FOR event_time AS event_time
) WITH (connector = 'file', path = 'queries/data/nyc_flights/departures.jsonl.gz', format = 'json');

CREATE TABLE planes (
  tailnum       TEXT,
  manufacturer  TEXT,
  seats         BIGINT,
  PRIMARY KEY (tailnum)
) WITH (connector = 'file', path = 'queries/data/nyc_flights/planes.csv.gz', format = 'csv');

CREATE MATERIALIZED VIEW manufacturers AS
SELECT p.manufacturer, count(*) AS flights, avg(d.dep_delay_min) AS avg_delay
FROM departures AS d
LEFT JOIN planes AS p ON p.tailnum = d.tailnum
GROUP BY p.manufacturer;

-- All 26,483 flights; of 4,224 the manufacturer is not known.
SELECT manufacturer, flights, round(avg_delay, 1) AS avg_delay
FROM manufacturers
ORDER BY flights DESC, manufacturer
LIMIT 6;

-- Only the 22,259 whose aeroplane is known: are the larger ones more punctual?
SELECT
  CASE WHEN p.seats < 100 THEN 'below 100' WHEN p.seats < 200 THEN '100 to 199' ELSE '200 and more' END AS seats,
  count(*) AS flights,
  round(avg(d.dep_delay_min), 1) AS avg_delay
FROM departures AS d
JOIN planes AS p ON p.tailnum = d.tailnum
GROUP BY 1
ORDER BY flights DESC;
