-- A chain that begins with a file ends by itself.
CREATE TABLE p (id INT, region TEXT, v BIGINT, PRIMARY KEY (id))
WITH (connector = 'file', path = 'tests/sql/data/changes_*.jsonl', format = 'debezium_json');
CREATE MATERIALIZED VIEW regions AS SELECT region, sum(v) AS v FROM p GROUP BY region;
CREATE MATERIALIZED VIEW best AS SELECT max(v) AS v FROM regions;
CREATE TABLE copy (id INT PRIMARY KEY, v BIGINT);
INSERT INTO copy SELECT id, v FROM p;
SELECT * FROM regions;
SELECT * FROM best;
SELECT * FROM copy;
