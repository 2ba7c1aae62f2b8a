CREATE TABLE trips (id BIGINT PRIMARY KEY, city TEXT);
UPDATE trips SET city = 'Lyon' WHERE idd = 3;
