CREATE STREAM s (a BIGINT) WITH (idle_timeout = 'soon');
