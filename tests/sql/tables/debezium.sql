-- Changes as Debezium writes them: all files are read in order, as one partition.
CREATE TABLE p (id INT, region TEXT, v BIGINT, at TIMESTAMP, PRIMARY KEY (id))
WITH (connector = 'file', path = 'tests/sql/data/changes_*.jsonl', format = 'debezium_json');
SELECT * FROM p;
SELECT region, min(v) AS lo, max(v) AS hi, count(*) AS n FROM p GROUP BY region;
SELECT count(*) AS n FROM p;
DESCRIBE p;
SHOW TABLES;
