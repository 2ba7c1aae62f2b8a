-- What fails on the data fails in each way, with the reason.
CREATE STREAM s (v INT, t TEXT);
INSERT INTO s VALUES (1, '1'), (0, 'x');
SELECT 10 / v AS x FROM s;
SELECT CAST(t AS INT) AS x FROM s;
SELECT TRY_CAST(t AS INT) AS x FROM s;
SELECT sum(10 / v) AS x FROM s;
