CREATE STREAM s (a BIGINT) WITH (partitions = 'many');
