CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, n SMALLINT, WATERMARK FOR ts AS ts);
INSERT INTO trips (city, n) VALUES ('Rome', 1), ('Oslo', 7 * 10000);
