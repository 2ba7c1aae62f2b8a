-- Every kind of join over duplicates, null keys and conditions beside the keys.
CREATE STREAM l (k INT, a TEXT);
CREATE STREAM r (k INT, b INT);
INSERT INTO l VALUES (1, 'x'), (1, 'x'), (2, 'y'), (3, NULL), (NULL, 'n'), (4, 'z');
INSERT INTO r VALUES (1, 10), (1, 20), (2, NULL), (NULL, 30), (5, 50), (2, 5);
SELECT l.k, a, b FROM l JOIN r ON l.k = r.k;
SELECT l.k, a, b FROM l LEFT JOIN r ON l.k = r.k;
SELECT l.k, a, r.k AS rk, b FROM l RIGHT JOIN r ON l.k = r.k;
SELECT l.k, a, r.k AS rk, b FROM l FULL JOIN r ON l.k = r.k;
SELECT l.k, a, b FROM l LEFT JOIN r ON l.k = r.k AND b > 10;
SELECT l.k, a, r.k AS rk, b FROM l FULL JOIN r ON l.k = r.k AND b > 10 AND a <> 'z';
SELECT l.k, a, b FROM l CROSS JOIN r WHERE b > 20;
SELECT l.k, a, r.k AS rk FROM l JOIN r ON l.k < r.k;
SELECT l.k, a, r.k AS rk FROM l LEFT JOIN r ON l.k > r.k;
SELECT l.k, a, b FROM l JOIN r ON l.k IS NOT DISTINCT FROM r.k;
SELECT k, a, b FROM l JOIN r USING (k);
SELECT k, a, b FROM l NATURAL JOIN r;
SELECT k, a, b FROM l NATURAL LEFT JOIN r;
SELECT x.k, x.a, y.a AS other FROM l AS x JOIN l AS y ON x.k = y.k;
SELECT l.k, a, b FROM l JOIN r ON l.k + 1 = r.k;
SELECT l.k, a FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.k = l.k AND b > 5);
SELECT l.k, a FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.k = l.k);
-- Many ways, over groups and over joins.
SELECT l.k, a, r.b, q.n FROM l JOIN r ON l.k = r.k LEFT JOIN (SELECT k, count(*) AS n FROM r GROUP BY k) AS q ON q.k = l.k AND q.n > 1;
SELECT x.k, y.b, z.a FROM l AS x LEFT JOIN r AS y ON x.k = y.k LEFT JOIN l AS z ON y.b = z.k * 10;
SELECT x.n, y.m FROM (SELECT k, count(*) AS n FROM l GROUP BY k) AS x FULL JOIN (SELECT k, count(*) AS m FROM r GROUP BY k) AS y ON x.k = y.k;
SELECT a, count(b) AS n, sum(b) AS total FROM l LEFT JOIN r ON l.k = r.k GROUP BY a;
