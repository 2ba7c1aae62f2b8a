-- The hourly board: for each hour and each New York airport, how many flights left, how late they
-- were on average, and how many of a hundred were more than 15 minutes late.
--
--     millstream run queries/tour/01_hourly_board.sql
--
-- Run it twice: the second run finds its work done, reads and writes nothing new, and says so.

-- 1. A stream that is a file. Nothing is read yet; this only says what is in it and where it is.
CREATE STREAM departures_file (
  event_time     TIMESTAMP,   -- when the flight left, UTC
  flight_id      TEXT,
  carrier        TEXT,
  flight         BIGINT,
  tailnum        TEXT,
  origin         TEXT,        -- EWR, JFK or LGA
  dest           TEXT,
  sched_dep_time TIMESTAMP,
  dep_delay_min  BIGINT       -- below zero: it left early
) WITH (connector = 'file', path = 'queries/data/nyc_flights/departures.jsonl.gz', format = 'json');

-- 2. A stream that Millstream keeps itself: a topic in the data directory. Rows of one origin go
--    to one of its four partitions, in order. The watermark says how far event time has come: the
--    file is sorted by event_time, so after a row no earlier one follows in its partition.
CREATE STREAM departures (
  event_time     TIMESTAMP,
  flight_id      TEXT,
  carrier        TEXT,
  flight         BIGINT,
  tailnum        TEXT,
  origin         TEXT,
  dest           TEXT,
  sched_dep_time TIMESTAMP,
  dep_delay_min  BIGINT,
  WATERMARK FOR event_time AS event_time
) WITH (partitions = 4, key = 'origin');

-- 3. A job: put the rows of the file into the stream.
INSERT INTO departures SELECT * FROM departures_file;

-- 4. Another job, and another stream: the board. TUMBLE cuts time into hours. EMIT FINAL gives
--    each hour once, when the watermark has passed its end.
CREATE STREAM hourly_board AS
SELECT
  window_start,
  origin,
  count(*)                     AS flights,
  round(avg(dep_delay_min), 1) AS avg_delay,
  round(100.0 * count(*) FILTER (WHERE dep_delay_min > 15) / count(*), 1) AS late_percent
FROM TUMBLE(departures, event_time, INTERVAL '1 hour')
GROUP BY window_start, origin
EMIT FINAL;

-- 5. A SELECT without EMIT asks what a stream holds now, and ends: this prints the board.
SELECT window_start, origin, flights, avg_delay, late_percent
FROM hourly_board
ORDER BY window_start, origin;
