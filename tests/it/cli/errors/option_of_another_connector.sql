CREATE STREAM s (a BIGINT) WITH (path = 'x.json');
