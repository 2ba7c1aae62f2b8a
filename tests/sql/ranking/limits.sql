-- ORDER BY … LIMIT … OFFSET as the query's end and in subqueries; what ties goes by the other columns.
CREATE STREAM s (k TEXT, v INT, w TEXT);
INSERT INTO s VALUES ('a', 5, 'x'), ('a', 7, 'y'), ('b', 1, 'z'), ('a', 7, 'x'), ('a', NULL, 'n'), ('b', 1, 'z'), (NULL, 3, 'q'),
  ('b', 4, 'y'), ('a', 2, NULL), ('b', NULL, NULL), ('c', 9, 'm'), (NULL, 3, 'p'), ('a', 7, 'y'), ('c', -1, 'm');
SELECT k, v, w FROM s ORDER BY v DESC LIMIT 4;
SELECT k, v, w FROM s ORDER BY v DESC LIMIT 4 OFFSET 3;
SELECT k, w FROM s ORDER BY v LIMIT 3;
SELECT k, v, w FROM s ORDER BY k, v OFFSET 12;
SELECT k, v FROM s ORDER BY v LIMIT 0;
SELECT k FROM (SELECT * FROM s ORDER BY w, v OFFSET 10) AS q;
SELECT k FROM (SELECT * FROM s ORDER BY w DESC, v DESC LIMIT 3 OFFSET 2) AS q;
SELECT upper(k) AS u FROM s ORDER BY w NULLS FIRST, v DESC LIMIT 2 OFFSET 1;
SELECT k, v FROM s WHERE v > 0 ORDER BY v LIMIT 100;
SELECT k, count(*) AS n FROM (SELECT k, v FROM s ORDER BY v DESC NULLS LAST LIMIT 5) GROUP BY k;
SELECT * FROM (SELECT k, v FROM s ORDER BY v LIMIT 3) UNION ALL SELECT * FROM (SELECT k, v FROM s ORDER BY v DESC LIMIT 2);
SELECT sum(v) AS total FROM (SELECT v FROM s ORDER BY v DESC NULLS LAST LIMIT 3 OFFSET 1);
WITH top AS (SELECT * FROM s ORDER BY v DESC NULLS LAST LIMIT 6) SELECT k, v FROM top ORDER BY v LIMIT 2;
-- Without ORDER BY the least rows by value.
SELECT k, count(*) AS n FROM (SELECT k, v, w FROM s LIMIT 5) GROUP BY k;
SELECT k, count(*) AS n FROM s GROUP BY k LIMIT 2;
SELECT DISTINCT w FROM s LIMIT 3;
SELECT * FROM (SELECT k, v FROM s WHERE v > 2 LIMIT 4 OFFSET 1);
-- An order alone changes nothing of the rows.
SELECT k, v FROM s WHERE v > 3 ORDER BY v, k, w;
SELECT k, sum(v) AS total FROM (SELECT * FROM s ORDER BY v) GROUP BY k;
SELECT sum(v) AS total FROM (SELECT v FROM s ORDER BY v DESC NULLS LAST OFFSET 2);
SELECT count(*) AS n FROM (SELECT v FROM s OFFSET 12);
-- By a comparison, then by its columns.
SELECT k, v, w FROM s ORDER BY v > 3, w < k LIMIT 5;
SELECT k, v, w FROM s WHERE v > 0 ORDER BY -nullif(v, 7) NULLS FIRST, k, v LIMIT 4;
SELECT k, v FROM s WHERE v > 0 ORDER BY -nullif(v, 7) NULLS FIRST, k, v;
