CREATE TABLE trips (id BIGINT PRIMARY KEY, city TEXT);
UPDATE trip SET city = 'Lyon';
