CREATE STREAM rides (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts) WITH (connector = 'file', path = 'data/not_utf8.jsonl');
SELECT * FROM rides WHERE fare > 10;
