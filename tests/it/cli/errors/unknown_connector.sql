CREATE STREAM s (a BIGINT) WITH (connector = 'kafak');
