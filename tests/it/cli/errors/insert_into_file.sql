CREATE STREAM trips (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts);
CREATE STREAM f (a BIGINT) WITH (connector = 'file', path = 'data/wrong_type.jsonl');
INSERT INTO f VALUES (1);
