-- One column for both sides' columns: USING and NATURAL in joins of every kind.
CREATE STREAM b (k INT, x TEXT);
CREATE STREAM a (y TEXT, k INT);
CREATE STREAM c (k BIGINT, z TEXT);
INSERT INTO b VALUES (1, 'b1'), (2, 'b2'), (2, 'b2'), (NULL, 'bn'), (3, NULL);
INSERT INTO a VALUES ('a2', 2), ('a3', 3), ('a3b', 3), ('a4', 4), ('an', NULL);
INSERT INTO c VALUES (1, 'c1'), (4, 'c4'), (5, 'c5'), (NULL, 'cn');
SELECT k, x, y FROM b JOIN a USING (k);
SELECT k, x, y FROM b LEFT JOIN a USING (k);
SELECT k, x, y FROM b RIGHT JOIN a USING (k);
SELECT k, x, y FROM b FULL JOIN a USING (k);
-- All columns: that of both sides comes first.
SELECT * FROM b JOIN a USING (k);
SELECT * FROM b LEFT JOIN a USING (k);
SELECT * FROM b RIGHT JOIN a USING (k);
SELECT * FROM b FULL JOIN a USING (k);
SELECT * FROM a NATURAL FULL JOIN b;
SELECT * FROM a NATURAL LEFT JOIN b;
-- Several joins, and types that differ.
SELECT k, x, y, z FROM b FULL JOIN a USING (k) FULL JOIN c USING (k);
SELECT k, x, y, z FROM b JOIN a USING (k) LEFT JOIN c USING (k);
SELECT k, x, y, z FROM b LEFT JOIN a USING (k) RIGHT JOIN c USING (k);
SELECT * FROM c NATURAL FULL JOIN b NATURAL FULL JOIN a;
SELECT k + 1 AS next, z FROM b FULL JOIN c USING (k) WHERE k > 1;
SELECT x, y, z FROM b FULL JOIN a USING (k) JOIN c ON c.z > x;
-- What else is made of the column.
SELECT k, count(*) AS n, count(x) AS bs, count(y) AS ys FROM b FULL JOIN a USING (k) GROUP BY k;
SELECT j.k, j.y FROM (b RIGHT JOIN a USING (k)) AS j WHERE k IS NOT NULL;
SELECT k, (SELECT count(*) FROM c WHERE c.k = j.k) AS cs FROM (SELECT k FROM b FULL JOIN a USING (k)) AS j;
SELECT z FROM c WHERE k IN (SELECT k FROM b FULL JOIN a USING (k));
-- Names of one side, where they say the same.
SELECT a.k, b.k AS bk, y FROM b JOIN a USING (k);
SELECT k, b.k AS bk, a.k AS ak FROM b LEFT JOIN a USING (k);
SELECT k, a.k AS ak, x FROM b RIGHT JOIN a USING (k);
SELECT b.*, y FROM b LEFT JOIN a USING (k);
