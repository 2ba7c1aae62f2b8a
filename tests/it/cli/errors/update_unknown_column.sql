CREATE TABLE trips (id BIGINT PRIMARY KEY, city TEXT);
UPDATE trips SET town = 'Lyon';
