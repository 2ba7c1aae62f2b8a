-- A column that tells the operation, in JSON and CSV, and plain records as upserts.
CREATE TABLE j (id INT PRIMARY KEY, v TEXT)
WITH (connector = 'file', path = 'tests/sql/data/operations.jsonl', op_column = 'op', on_bad = 'skip');
CREATE TABLE c (id INT PRIMARY KEY, v TEXT, kind TEXT)
WITH (connector = 'file', path = 'tests/sql/data/operations.csv', op_column = 'kind');
CREATE TABLE plain (id INT PRIMARY KEY, v TEXT, op TEXT)
WITH (connector = 'file', path = 'tests/sql/data/operations.jsonl', on_bad = 'skip');
CREATE TABLE inferred (PRIMARY KEY (id)) WITH (connector = 'file', path = 'tests/sql/data/operations.csv');
SELECT * FROM j;
SELECT * FROM c;
SELECT v, count(*) AS n FROM c GROUP BY v;
SELECT * FROM plain;
SELECT * FROM inferred;
DESCRIBE inferred;
