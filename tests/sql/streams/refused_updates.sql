-- A result that changes does not fit a stream.
CREATE STREAM s (id INT, name TEXT);
CREATE STREAM t AS SELECT name, count(*) AS n FROM s GROUP BY name;
