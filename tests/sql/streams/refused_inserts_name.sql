-- A column that is not there.
CREATE STREAM s (id INT, name TEXT);
INSERT INTO s (id, nmae) VALUES (1, 'x');
