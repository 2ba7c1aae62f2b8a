-- as written: it drops what it has made
-- A stream that a job reads cannot be dropped under it.
CREATE STREAM s (v INT);
CREATE STREAM t AS SELECT v + 1 AS v FROM s;
INSERT INTO s VALUES (1);
SELECT * FROM t;
DROP STREAM s;
