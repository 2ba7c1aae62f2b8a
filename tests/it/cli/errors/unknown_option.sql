CREATE STREAM s (a BIGINT) WITH (partition = 4);
