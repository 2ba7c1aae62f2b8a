-- What is refused, and the words for it.
CREATE STREAM s (at TIMESTAMP, a BIGINT NOT NULL, b TEXT);
SELECT c FROM s;
-- error: there is no column "c"
SELECT a + b FROM s WHERE sqrt(b) > 1;
-- error: + does not take BIGINT and VARCHAR
INSERT INTO s (a, b) VALUES (1, 'x'), (NULL, 'y');
-- error: column "a" is NOT NULL, but the value for it is null
CREATE STREAM counts AS SELECT b, count(*) AS n FROM s GROUP BY b;
-- error: a stream only ever takes new rows, but this query takes rows back when its result changes
SELECT count(*) AS n FROM s;
-- n
-- 0
