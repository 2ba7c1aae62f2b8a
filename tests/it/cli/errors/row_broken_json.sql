CREATE STREAM rides (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts) WITH (connector = 'file', path = 'data/broken.jsonl');
SELECT * FROM rides WHERE fare > 10;
