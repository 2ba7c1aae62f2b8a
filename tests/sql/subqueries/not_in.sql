-- IN and NOT IN in WHERE with nulls on either side.
CREATE STREAM l (a INT, g TEXT);
CREATE STREAM r (b INT, h TEXT);
CREATE STREAM d (x INT);
INSERT INTO l VALUES (1, 'p'), (2, 'p'), (3, 'q'), (NULL, 'q'), (NULL, 'z'), (5, 'z'), (6, NULL);
INSERT INTO r VALUES (1, 'p'), (NULL, 'p'), (3, 'q'), (7, 'q'), (6, NULL);
INSERT INTO d VALUES (1), (3);
SELECT a, g FROM l WHERE a IN (SELECT b FROM r);
SELECT a, g FROM l WHERE a NOT IN (SELECT b FROM r);
SELECT a, g FROM l WHERE a NOT IN (SELECT b FROM r WHERE b IS NOT NULL);
SELECT a, g FROM l WHERE a NOT IN (SELECT b FROM r WHERE b > 100);
SELECT a, g FROM l WHERE a NOT IN (SELECT x FROM d);
-- With columns of the query around.
SELECT a, g FROM l WHERE a IN (SELECT b FROM r WHERE r.h = l.g);
SELECT a, g FROM l WHERE a NOT IN (SELECT b FROM r WHERE r.h = l.g);
SELECT a, g FROM l WHERE NOT (a IN (SELECT b FROM r WHERE r.h = l.g AND b IS NOT NULL));
SELECT a, g FROM l WHERE a NOT IN (SELECT b FROM r WHERE r.b > l.a);
-- Constants.
SELECT a, g FROM l WHERE 1 NOT IN (SELECT b FROM r);
SELECT a, g FROM l WHERE 9 NOT IN (SELECT b FROM r);
SELECT a, g FROM l WHERE 9 NOT IN (SELECT b FROM r WHERE b IS NOT NULL);
SELECT a, g FROM l WHERE a NOT IN (SELECT 3 FROM r);
SELECT a, g FROM l WHERE 'p' NOT IN (SELECT h FROM r WHERE r.b = l.a);
