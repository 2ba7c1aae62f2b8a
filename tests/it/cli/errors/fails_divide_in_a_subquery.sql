CREATE STREAM s (id INT, xs BIGINT[], k TEXT, d DECIMAL(10,2), at TIMESTAMP);
INSERT INTO s VALUES (1, [1, 2], 'seven', 99999999.99, '2026-01-31 12:00:00');
SELECT t.q FROM (SELECT id % (id - 1) AS q, id / 2 AS half FROM s) AS t WHERE t.half >= 0;
