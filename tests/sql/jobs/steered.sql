-- as written: what a job is told while it runs
-- A paused job makes no steps, one that begins again loses and doubles nothing, and one that was stopped is gone.
CREATE STREAM s (a INT);
CREATE STREAM twice AS SELECT a * 2 AS b FROM s;
INSERT INTO s VALUES (1), (2);
SELECT * FROM twice;
PAUSE JOB twice;
INSERT INTO s VALUES (3);
SELECT * FROM twice;
RESUME JOB twice;
SELECT * FROM twice;
CHECKPOINT JOB twice;
RESTART JOB twice;
INSERT INTO s VALUES (4);
SELECT * FROM twice;
STOP JOB twice;
INSERT INTO s VALUES (5);
SELECT * FROM twice;
EXPLAIN WAITING thrice;
