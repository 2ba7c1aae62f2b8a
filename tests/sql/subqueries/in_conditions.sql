-- IN and NOT IN below OR, NOT, CASE and IS NULL, with nulls on either side.
CREATE STREAM l (a INT, g TEXT);
CREATE STREAM r (b INT, h TEXT);
CREATE STREAM d (x INT);
INSERT INTO l VALUES (1, 'p'), (2, 'p'), (3, 'q'), (NULL, 'q'), (NULL, 'z'), (5, 'z'), (6, NULL);
INSERT INTO r VALUES (1, 'p'), (NULL, 'p'), (3, 'q'), (7, 'q'), (6, NULL);
INSERT INTO d VALUES (1), (3);
SELECT a, g FROM l WHERE g = 'q' OR a NOT IN (SELECT b FROM r);
SELECT a, g FROM l WHERE g = 'q' OR a NOT IN (SELECT x FROM d);
SELECT a, g FROM l WHERE g = 'p' OR a IN (SELECT b FROM r);
SELECT a, g FROM l WHERE NOT (g = 'p' OR a IN (SELECT b FROM r));
SELECT a, g FROM l WHERE NOT (g = 'p' OR a IN (SELECT x FROM d));
SELECT a, g FROM l WHERE NOT (g = 'p' AND a NOT IN (SELECT b FROM r));
SELECT a, g FROM l WHERE (a IN (SELECT b FROM r)) IS NULL;
SELECT a, g FROM l WHERE (a NOT IN (SELECT x FROM d)) IS NULL;
SELECT a, g FROM l WHERE CASE WHEN g = 'z' THEN a NOT IN (SELECT x FROM d) ELSE a IN (SELECT x FROM d) END;
