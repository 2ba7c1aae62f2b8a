-- Every type from CSV: an empty field is null, an empty text in quotes is not.
CREATE STREAM t (i INT, big BIGINT, f DOUBLE, d DECIMAL(20,4), s TEXT, day DATE, t3 TIMESTAMP(3), b BOOLEAN)
WITH (connector = 'file', path = 'tests/sql/data/types.csv', format = 'csv');
SELECT * FROM t;
SELECT b, count(*) AS n, sum(d) AS d, max(t3) AS t3 FROM t GROUP BY b;
