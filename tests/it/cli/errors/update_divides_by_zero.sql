CREATE TABLE trips (id BIGINT PRIMARY KEY, fare BIGINT);
INSERT INTO trips VALUES (1, 0);
UPDATE trips SET fare = 10 / fare;
