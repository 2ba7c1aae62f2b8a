-- Where a row stands: _partition and _offset. _timestamp is when it was written.
CREATE STREAM s (k TEXT, v INT) WITH (partitions = 3, key = 'k');
INSERT INTO s VALUES ('a', 1), ('b', 2), ('a', 3), ('c', 4), ('b', 5), ('a', 6);
SELECT k, v, _partition, _offset FROM s;
SELECT k, max(_offset) - min(_offset) AS apart FROM s GROUP BY k;
SELECT count(*) AS n FROM s WHERE _timestamp > '2020-01-01';
SELECT * FROM s WHERE _partition >= 0;
