CREATE TABLE trips (id BIGINT PRIMARY KEY, name TEXT) WITH (connector = 'file', path = 'data/operations.jsonl', op_column = 'op');
SELECT * FROM trips;
