CREATE TABLE trips (id BIGINT PRIMARY KEY) WITH (key = 'id');
