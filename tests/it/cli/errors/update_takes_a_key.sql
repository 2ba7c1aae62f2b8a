CREATE TABLE trips (id BIGINT PRIMARY KEY, city TEXT);
INSERT INTO trips VALUES (1, 'Lyon'), (2, 'Metz'), (3, 'Nice');
UPDATE trips SET id = id + 1 WHERE id < 3;
