CREATE TABLE trips (id BIGINT PRIMARY KEY, city TEXT);
INSERT INTO trips (city) VALUES ('Lyon');
