CREATE STREAM rides (ts TIMESTAMP, city TEXT, fare DOUBLE, WATERMARK FOR ts AS ts) WITH (connector = 'file', path = 'data/wrong_type.csv');
SELECT * FROM rides WHERE fare > 10;
