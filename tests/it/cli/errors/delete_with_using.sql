CREATE TABLE trips (id BIGINT PRIMARY KEY);
DELETE FROM trips USING others WHERE trips.id = others.id;
