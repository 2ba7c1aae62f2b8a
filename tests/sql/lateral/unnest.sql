-- Lists of the row beside: UNNEST in FROM, with and without LATERAL; LEFT JOIN keeps rows without an element.
CREATE STREAM s (id INT, xs INT[], ts TEXT[]);
INSERT INTO s VALUES (1, [10, 20], ['a']), (2, [], ['b', 'c']), (3, NULL, []), (4, [30, NULL], NULL);
SELECT s.id, u.x FROM s CROSS JOIN UNNEST(s.xs) AS u(x);
SELECT id, x FROM s, UNNEST(xs) AS u(x);
SELECT s.id, u.x FROM s LEFT JOIN UNNEST(s.xs) AS u(x) ON true;
SELECT s.id, u.x FROM s JOIN UNNEST(s.xs) AS u(x) ON u.x > 10;
SELECT s.id, u.x, w.t FROM s CROSS JOIN UNNEST(s.xs) AS u(x) CROSS JOIN UNNEST(s.ts) AS w(t);
SELECT s.id, u.x, u.t FROM s CROSS JOIN UNNEST(s.xs, s.ts) AS u(x, t);
SELECT s.id, l.y FROM s CROSS JOIN LATERAL (SELECT x + s.id AS y FROM UNNEST(s.xs) AS u(x) WHERE x IS NOT NULL) AS l;
SELECT s.id, l.y FROM s CROSS JOIN LATERAL (SELECT s.id * 2 AS y) AS l;
SELECT l.id, m.y FROM s AS l JOIN LATERAL (SELECT r.id AS y FROM s AS r WHERE r.id < l.id) AS m ON m.y <> 2;
-- Lists through joins, groups, DISTINCT and sets.
SELECT a.id, b.xs FROM s AS a JOIN s AS b ON a.id = b.id AND cardinality(b.ts) > 0;
SELECT xs, count(*) AS n FROM s GROUP BY xs;
SELECT DISTINCT ts FROM s;
SELECT xs FROM s EXCEPT ALL SELECT xs FROM s WHERE id > 2;
SELECT struct(id % 2 AS odd, xs AS list) AS st, count(*) AS n FROM s GROUP BY struct(id % 2 AS odd, xs AS list);
-- Lists that are made of columns beside.
SELECT s.id, u.x FROM s CROSS JOIN UNNEST(array_concat(s.xs, [s.id])) AS u(x);
SELECT s.id, u.x FROM s CROSS JOIN UNNEST([s.id, 2]) AS u(x) WHERE u.x > 1;
SELECT s.id FROM s WHERE 20 IN (SELECT x FROM UNNEST([s.id * 10, 3]) AS u(x));
