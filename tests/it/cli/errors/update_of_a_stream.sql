CREATE STREAM trips (id BIGINT, city TEXT);
UPDATE trips SET city = 'Lyon';
