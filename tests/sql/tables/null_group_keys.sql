-- A materialized view by a group key that may be null: null is a key like any other.
CREATE STREAM s (g TEXT, h BOOLEAN, x INT);
INSERT INTO s VALUES ('a', true, 1), (NULL, true, 2), (NULL, NULL, 3), ('a', NULL, 4), (NULL, true, 5);
CREATE MATERIALIZED VIEW v WITH (partitions = 4) AS SELECT g, h, sum(x) AS x, count(*) AS n FROM s GROUP BY g, h;
CREATE MATERIALIZED VIEW w AS SELECT DISTINCT g FROM v;
SELECT * FROM v;
SELECT * FROM w;
SELECT g, sum(x) AS x FROM v GROUP BY g;
