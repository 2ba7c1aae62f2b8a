-- Too few columns.
CREATE STREAM s (id INT, name TEXT);
INSERT INTO s VALUES (1);
