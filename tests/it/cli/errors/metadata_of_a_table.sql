CREATE TABLE trips (id BIGINT PRIMARY KEY);
SELECT id, _offset FROM trips;
