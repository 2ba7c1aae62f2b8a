CREATE STREAM trips (id BIGINT, city TEXT) WITH (connector = 'file', path = 'data/rows.jsonl', format = 'debezium_json');
