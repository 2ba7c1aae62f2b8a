-- CTEs, views of views, subqueries, DISTINCT, CASE, functions of text and time, ORDER BY and LIMIT.
CREATE STREAM s (id INT, name TEXT, tags TEXT, at TIMESTAMP);
INSERT INTO s VALUES (1, 'Ann', 'x,y', '2024-02-29 12:00:00'), (2, 'Bob', '', '2023-12-31 23:59:59'), (3, 'ann', 'y', NULL), (4, NULL, NULL, '2024-02-29 01:02:03');
WITH named AS (SELECT id, lower(name) AS n FROM s WHERE name IS NOT NULL), counted AS (SELECT n, count(*) AS c FROM named GROUP BY n)
SELECT n, c FROM counted WHERE c > 1;
CREATE VIEW v1 AS SELECT id, upper(name) AS name, at FROM s;
CREATE VIEW v2 AS SELECT name, date_trunc('day', at) AS day FROM v1 WHERE id < 4;
SELECT day, count(*) AS n FROM v2 GROUP BY day;
SELECT DISTINCT upper(name) AS n FROM s;
SELECT id, CASE WHEN at IS NULL THEN 'never' WHEN at < '2024-01-01' THEN 'old' ELSE 'new' END AS age, coalesce(name, '?') || '!' AS hi FROM s;
SELECT id, split_part(tags, ',', 1) AS first_tag, extract(year FROM at) AS y, CAST(at AS DATE) AS d FROM s;
SELECT id, name FROM s ORDER BY name NULLS FIRST, id DESC LIMIT 3;
SELECT x.id FROM (SELECT id, at FROM s WHERE at > '2024-01-01') AS x WHERE x.id <> 1;
SELECT count(*) AS n FROM s WHERE id IN (1, 2, 99) OR name LIKE 'a%';
