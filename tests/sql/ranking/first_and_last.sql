-- The first and the last row of each key: ROW_NUMBER() = 1, and DISTINCT ON.
CREATE STREAM readings (at TIMESTAMP, sensor TEXT, value DOUBLE, note TEXT, WATERMARK FOR at AS at - INTERVAL '10 seconds');
INSERT INTO readings VALUES
  ('2024-01-01 00:00:03', 'a', 1.5, 'one'), ('2024-01-01 00:00:01', 'a', 2.5, 'two'), ('2024-01-01 00:00:07', 'b', 3.5, 'three'),
  ('2024-01-01 00:00:07', 'b', 3.0, 'four'), ('2024-01-01 00:00:09', 'a', 4.5, 'five'), ('2024-01-01 00:00:02', 'b', NULL, 'six'),
  (NULL, 'c', 0.5, 'seven'), ('2024-01-01 00:00:09', 'a', 4.5, 'five'), ('2024-01-01 00:00:01', 'c', 9.5, NULL);
SELECT at, sensor, value, note FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY sensor ORDER BY at) AS n FROM readings) WHERE n = 1;
SELECT at, sensor, value, note FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY sensor ORDER BY at DESC) AS n FROM readings) WHERE n = 1;
SELECT at, sensor, value, note, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY sensor ORDER BY at DESC NULLS LAST) AS n FROM readings) WHERE n <= 1;
SELECT DISTINCT ON (sensor) sensor, at, value, note FROM readings ORDER BY sensor, at;
SELECT DISTINCT ON (sensor) sensor, value * 2 AS twice, note FROM readings ORDER BY sensor, at DESC NULLS LAST;
SELECT DISTINCT ON (sensor) note FROM readings ORDER BY sensor DESC, value;
SELECT DISTINCT ON (value > 3.0, sensor) value > 3.0 AS big, sensor, at FROM readings ORDER BY value > 3.0, sensor, at NULLS FIRST;
SELECT DISTINCT ON (sensor) sensor, note FROM readings;
SELECT DISTINCT ON (sensor) sensor, at, note FROM readings ORDER BY sensor, at DESC NULLS LAST LIMIT 2;
SELECT count(*) AS n, min(note) AS note FROM (SELECT DISTINCT ON (sensor) note FROM readings ORDER BY sensor, at);
SELECT DISTINCT ON (n) n, sensor FROM (SELECT sensor, count(*) AS n FROM readings GROUP BY sensor) ORDER BY n, sensor DESC;
