CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, n SMALLINT, WATERMARK FOR ts AS ts);
INSERT INTO trips VALUES
  ('2026-01-31 12:00:00', 'Rome', 5.5, 1),
  ('2026-01-31 12:00:01', 'Oslo', 'cheap', 2);
