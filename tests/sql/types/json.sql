-- Every type from JSON lines: missing fields are null, unknown ones are left out.
CREATE STREAM t (
  b BOOLEAN, i INT, big BIGINT, f DOUBLE, d DECIMAL(20,4), s TEXT, day DATE, t0 TIMESTAMP(0), t3 TIMESTAMP(3), t9 TIMESTAMP(9),
  tz TIMESTAMP WITH TIME ZONE, xs INT[], p STRUCT<x INT, y TEXT>
) WITH (connector = 'file', path = 'tests/sql/data/types.jsonl', format = 'json');
SELECT * FROM t;
SELECT p['y'] AS y, count(*) AS n FROM t GROUP BY p['y'];
SELECT big + 1 AS next, t9, length(s) AS len FROM t WHERE big IS NOT NULL;
SELECT x, count(*) AS n FROM (SELECT unnest(xs) AS x FROM t) GROUP BY x;
CREATE STREAM kept AS SELECT * FROM t;
SELECT b, i, big, f, d, s, day, t0, t3, t9, tz, xs, p FROM kept;
