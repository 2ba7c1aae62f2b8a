CREATE TABLE trips (id BIGINT, city TEXT);
