CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
CREATE STREAM s (ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (late_topic = 'trips');
