-- A stream that its own query writes.
CREATE STREAM s (id INT, name TEXT);
CREATE STREAM t AS SELECT * FROM s;
INSERT INTO t VALUES (1, 'x');
