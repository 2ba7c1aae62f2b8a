CREATE STREAM f (a INT) WITH (connector = 'file', path = 'data/*.csv');
SELECT a FROM f AT '2024-01-01';
