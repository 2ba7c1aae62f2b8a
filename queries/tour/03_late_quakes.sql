-- Late data: the same earthquakes in the order in which their reports were last revised, which is
-- hours or days after they happened.
--
--     millstream run queries/tour/03_late_quakes.sql
--
-- The watermark stays six hours behind the greatest event time seen so far. An hour is closed, and
-- given out, once the watermark has passed its end; a quake that is reported after that is late. It
-- changes no answer that was already given, but it is counted: see "late" in the summary line.
--
-- Of the 1,707 rows 750 come behind the watermark. For 14 of these the hour is still open; 736 are
-- late. Which rows these are depends on the order of the file alone: not on the number of workers,
-- nor on how many rows a step takes (try --workers 1, or SET step_rows = 1).

CREATE STREAM quakes_by_arrival (
  event_time TIMESTAMP,   -- when it happened, UTC
  updated_at TIMESTAMP,   -- when its report was last revised: the file is sorted by this
  quake_id   TEXT,
  magnitude  DOUBLE,
  place      TEXT,
  region     TEXT,
  WATERMARK FOR event_time AS event_time - INTERVAL '6 hours'
) WITH (connector = 'file', path = 'queries/data/quakes/quakes_by_arrival.jsonl.gz', format = 'json');

SELECT window_start, count(*) AS quakes, max(magnitude) AS strongest
FROM TUMBLE(quakes_by_arrival, event_time, INTERVAL '1 hour')
GROUP BY window_start
EMIT FINAL;
