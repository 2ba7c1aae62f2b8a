-- What was dropped before a restart is not made again, and what has its name since is kept.
CREATE STREAM s (a BIGINT);
CREATE MATERIALIZED VIEW sums AS SELECT sum(a) AS total FROM s;
INSERT INTO s VALUES (1), (2);
-- FEED s
-- a
-- 4
CREATE VIEW doubled AS SELECT a * 2 AS b FROM s;
SELECT * FROM sums;
-- total
-- 7

DROP MATERIALIZED VIEW sums;
DROP STREAM s;
-- RESTART
SELECT * FROM s;
-- error: there is no stream or view "s"

CREATE STREAM s (a BIGINT, k TEXT);
INSERT INTO s VALUES (1, 'x'), (2, 'y');
CREATE MATERIALIZED VIEW sums AS SELECT k, sum(a) AS total FROM s GROUP BY k;
-- FEED s
-- a  | k
-- 10 | x
-- RESTART KILL
INSERT INTO s VALUES (1, 'x'), (2, 'y');
SELECT * FROM s;
SELECT * FROM sums;
-- RESTART
SELECT * FROM sums ORDER BY k;
SELECT count(*) AS n FROM s;
