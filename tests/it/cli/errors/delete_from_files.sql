CREATE TABLE trips (id BIGINT PRIMARY KEY, city TEXT) WITH (connector = 'file', path = 'data/rows.jsonl');
DELETE FROM trips;
