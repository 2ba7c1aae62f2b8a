-- IN, NOT IN and EXISTS as values, and in clauses other than WHERE.
CREATE STREAM l (a INT, g TEXT);
CREATE STREAM r (b INT, h TEXT);
CREATE STREAM d (x INT);
INSERT INTO l VALUES (1, 'p'), (2, 'p'), (3, 'q'), (NULL, 'q'), (NULL, 'z'), (5, 'z'), (6, NULL);
INSERT INTO r VALUES (1, 'p'), (NULL, 'p'), (3, 'q'), (7, 'q'), (6, NULL);
INSERT INTO d VALUES (1), (3);
SELECT a, a IN (SELECT b FROM r) AS is_in, a NOT IN (SELECT b FROM r) AS not_in, a IN (SELECT x FROM d) AS in_d FROM l;
SELECT a, g, a IN (SELECT b FROM r WHERE r.h = l.g) AS is_in FROM l;
SELECT a, EXISTS (SELECT 1 FROM r WHERE r.b = l.a) AS there, NOT EXISTS (SELECT 1 FROM d WHERE x > 100) AS none FROM l;
-- An aggregate has a row even where none match.
SELECT a, g FROM l WHERE 0 IN (SELECT count(*) FROM r WHERE r.h = l.g);
SELECT a, g FROM l WHERE a NOT IN (SELECT max(b) FROM r WHERE r.h = l.g);
SELECT a, g FROM l WHERE EXISTS (SELECT max(b) FROM r WHERE r.h = l.g);
-- In other clauses.
SELECT count(*) FILTER (WHERE a IN (SELECT x FROM d)) AS there, count(*) FILTER (WHERE a NOT IN (SELECT x FROM d)) AS not_there FROM l;
SELECT a IN (SELECT x FROM d) AS there, count(*) AS n FROM l GROUP BY a IN (SELECT x FROM d);
SELECT g, count(*) AS n FROM l GROUP BY g HAVING count(*) NOT IN (SELECT x FROM d WHERE x > 1);
