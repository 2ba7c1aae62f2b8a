CREATE STREAM rides (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts) WITH (connector = 'file', path = 'data/wrong_type.jsonl');
CREATE STREAM kept (ts TIMESTAMP, city TEXT, fare DOUBLE);
INSERT INTO kept SELECT * FROM rides;
