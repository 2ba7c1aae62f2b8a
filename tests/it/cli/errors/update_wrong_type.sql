CREATE TABLE trips (id BIGINT PRIMARY KEY, fare BIGINT);
UPDATE trips SET fare = 'much' WHERE id = 3;
