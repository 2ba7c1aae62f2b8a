CREATE STREAM trips (id BIGINT, city TEXT);
INSERT INTO trips VALUES (1, 'Lyon'), (NULL, 'Metz');
CREATE TABLE latest (PRIMARY KEY (id)) AS SELECT id, city FROM trips;
SELECT * FROM latest;
