-- Rows of every type that can be ordered, kept and given back as they were.
CREATE STREAM t (id INT, b BOOLEAN, f DOUBLE, d DECIMAL(10,2), dt DATE, ts TIMESTAMP(3), xs INT[], by BYTEA);
INSERT INTO t VALUES
  (1, true, 1.5, 2.50, '2024-01-01', '2024-01-01 00:00:00.001', [1, 2], X'6161'),
  (2, false, 'NaN', -2.50, '2023-01-01', '2024-01-01 00:00:00.002', [1], X'62'),
  (3, NULL, -0.0, 0.00, NULL, NULL, NULL, NULL),
  (4, true, 0.0, 99.99, '2025-01-01', '2023-01-01 00:00:00', [NULL, 3], X''),
  (5, true, '-Infinity', NULL, '2024-01-01', '2024-01-01 00:00:00.001', [], X'6161');
SELECT * FROM t ORDER BY f DESC LIMIT 3;
SELECT * FROM t ORDER BY xs LIMIT 3;
SELECT * FROM (SELECT *, rank() OVER (PARTITION BY b ORDER BY dt DESC NULLS LAST, ts) AS r FROM t) WHERE r <= 2;
SELECT id, by, r FROM (SELECT *, dense_rank() OVER (ORDER BY by) AS r FROM t) WHERE r <= 2;
SELECT f, d FROM (SELECT DISTINCT ON (dt) * FROM t ORDER BY dt, d);
SELECT id, named_struct('f', f, 'xs', xs) AS st FROM t ORDER BY d LIMIT 2;
