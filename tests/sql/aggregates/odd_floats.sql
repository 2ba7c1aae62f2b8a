-- NaN is one key; 0.0 and -0.0 are equal in SQL; infinities add up.
CREATE STREAM s (x DOUBLE, v INT);
INSERT INTO s SELECT CAST(column1 AS DOUBLE), column2 FROM
  (VALUES ('NaN', 1), ('0', 2), ('-0', 4), ('inf', 8), ('-inf', 16), ('NaN', 32), ('1e308', 64), ('1e308', 128), (NULL, 256));
SELECT CAST(x AS TEXT) AS x, sum(v) AS total FROM s GROUP BY x;
SELECT CAST(min(x) AS TEXT) AS least, CAST(max(x) AS TEXT) AS most, CAST(sum(x) AS TEXT) AS total, count(DISTINCT x) AS different FROM s;
SELECT CAST(sum(x) AS TEXT) AS total, CAST(avg(x) AS TEXT) AS mean FROM s WHERE x > 1 AND x < CAST('inf' AS DOUBLE);
SELECT CAST(x AS TEXT) AS x FROM (SELECT DISTINCT x FROM s);
