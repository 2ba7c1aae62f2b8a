-- Functions that give another answer each time cannot be kept up to date; a function of a constant can.
CREATE STREAM s (v INT);
INSERT INTO s VALUES (1);
SELECT v, now() > '2020-01-01' AS later FROM s;
SELECT v, random() < 2 AS small FROM s;
SELECT v, length(uuid()) AS len FROM s;
SELECT v, current_date > '2020-01-01' AS later FROM s;
SELECT v, length('abc') + abs(-1) AS four FROM s;
