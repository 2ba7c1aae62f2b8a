CREATE TABLE trips (PRIMARY KEY (id)) WITH (connector = 'file', path = 'data/rows.jsonl', format = 'debezium_json');
