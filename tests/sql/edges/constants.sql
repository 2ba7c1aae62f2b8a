-- Queries that read no stream, and those whose filters are decided before they run.
SELECT 1 AS one, 'a' AS a, NULL AS nothing;
SELECT column1 AS x, count(*) AS n FROM (VALUES (1), (2), (1)) GROUP BY column1;
SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS t(x, y) WHERE x > 1;
SELECT 1 AS x WHERE false;
SELECT count(*) AS n FROM (VALUES (1), (2)) WHERE 1 = 0;
SELECT 1 AS x UNION ALL SELECT 1 UNION ALL SELECT 2;
SELECT 1 AS x UNION SELECT 1 UNION SELECT 2;
SELECT unnest([1, 2, 3]) AS x;
