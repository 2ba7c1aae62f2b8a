-- A type that does not fit.
CREATE STREAM s (id INT, name TEXT);
INSERT INTO s VALUES ('x', 'y');
