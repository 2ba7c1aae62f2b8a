-- NULL is a group of its own, also in keys of several columns and of expressions.
CREATE STREAM s (a TEXT, b INT);
INSERT INTO s VALUES ('xx', 1), (NULL, 1), ('yy', NULL), (NULL, NULL), ('zzz', 1), (NULL, 1), ('', 0);
SELECT length(a) AS len, count(*) AS n FROM s GROUP BY length(a);
SELECT a, b, count(*) AS n FROM s GROUP BY a, b;
SELECT DISTINCT b FROM s;
SELECT count(DISTINCT b) AS bs, count(DISTINCT a) AS a_s FROM s;
