-- Rows of several values IN a subquery.
CREATE STREAM l (a INT, g TEXT);
CREATE STREAM r (b INT, h TEXT);
INSERT INTO l VALUES (1, 'p'), (2, 'p'), (3, 'q'), (NULL, 'q'), (NULL, 'z'), (5, 'z'), (6, NULL);
INSERT INTO r VALUES (1, 'p'), (1, 'p'), (NULL, 'z'), (3, 'q'), (7, 'q');
SELECT a, g FROM l WHERE (a, g) IN (SELECT b, h FROM r);
SELECT a, g FROM l WHERE (a, g) NOT IN (SELECT b, h FROM r);
SELECT a, g FROM l WHERE (a, g) NOT IN (SELECT b, h FROM r WHERE b IS NOT NULL);
SELECT a, g FROM l WHERE NOT ((a, g) IN (SELECT b, h FROM r) OR a = 2);
SELECT a, g FROM l WHERE (a, g) IN (SELECT b, h FROM r) OR g = 'p';
SELECT a, g FROM l WHERE (a, g) IN (SELECT b, h FROM r WHERE r.h = l.g);
SELECT a, g FROM l WHERE (a, g) IN (SELECT max(b), h FROM r GROUP BY h);
SELECT a, g FROM l WHERE (a, g) IN (SELECT b, h FROM r UNION SELECT 2, 'p');
SELECT a, g FROM l WHERE (a + 1, g, true) IN (SELECT b + 1, h, b > 1 FROM r);
SELECT g, count(*) AS n FROM l GROUP BY g HAVING (g, count(*)) IN (SELECT h, count(*) FROM r GROUP BY h);
SELECT m.a, m.g FROM l AS m WHERE (a, g) NOT IN (SELECT a, g FROM l WHERE a > 2);
