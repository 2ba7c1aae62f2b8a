-- Sums and products at the limits of their types.
CREATE STREAM s (k INT, big BIGINT, small TINYINT, d DECIMAL(38,0));
INSERT INTO s VALUES (1, 9223372036854775807, 127, 1), (1, -9223372036854775808, 127, 2), (2, 5, -128, 99999999999999999999999999999999999998);
SELECT k, sum(big) AS s, sum(small) AS t, avg(small) AS a, min(big) AS least, max(big) AS most FROM s GROUP BY k;
SELECT k, sum(d) AS total FROM s GROUP BY k;
SELECT small + small AS twice FROM s WHERE k = 2;
SELECT CAST(big AS DOUBLE) AS f, abs(small) AS a FROM s WHERE k = 1 AND big > 0;
