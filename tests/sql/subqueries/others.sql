-- EXISTS within EXISTS, WITH used twice, VALUES as a relation.
CREATE STREAM l (a INT, g TEXT);
CREATE STREAM r (b INT, h TEXT);
INSERT INTO l VALUES (1, 'p'), (2, 'p'), (3, 'q'), (NULL, 'q'), (5, 'z');
INSERT INTO r VALUES (1, 'p'), (NULL, 'p'), (3, 'q'), (7, 'q');
SELECT a, g FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.h = l.g AND EXISTS (SELECT 1 FROM l AS m WHERE m.a = r.b));
SELECT a, g FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.h = l.g AND NOT EXISTS (SELECT 1 FROM l AS m WHERE m.a = r.b));
SELECT a, g FROM l WHERE a IN (SELECT b FROM r WHERE h IN (SELECT g FROM l));
SELECT a FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.b = l.a) OR g = 'z';
WITH q AS (SELECT g, count(*) AS n FROM l GROUP BY g) SELECT x.g, y.n FROM q AS x JOIN q AS y ON x.n = y.n;
WITH q AS (SELECT a FROM l), p AS (SELECT a FROM q WHERE a > 1) SELECT * FROM p UNION ALL SELECT * FROM q;
SELECT l.a, v.word FROM l JOIN (VALUES (1, 'one'), (3, 'three'), (9, 'nine')) AS v(n, word) ON l.a = v.n;
SELECT v.n FROM (VALUES (1), (2), (NULL)) AS v(n) WHERE v.n NOT IN (SELECT a FROM l WHERE a IS NOT NULL AND a < 2);
SELECT a FROM l WHERE (a, g) IN (SELECT b, h FROM r);
-- A condition without a column is not put below an aggregate over all rows, which has a row even where there is none.
SELECT n FROM (SELECT n, true AS v FROM (SELECT count(a) AS n FROM l) AS q) AS j WHERE NOT v;
SELECT n FROM (SELECT max(a) AS n, false AS v FROM l UNION ALL SELECT min(a), true FROM l) AS j WHERE v;
