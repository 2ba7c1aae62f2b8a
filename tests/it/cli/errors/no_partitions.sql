CREATE STREAM s (a BIGINT) WITH (partitions = 0);
