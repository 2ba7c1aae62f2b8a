-- The tables that the statements beside this file ask: small, with nulls, duplicates and ties. Read by DataFusion.
CREATE TABLE emp (id BIGINT, name TEXT, dept BIGINT, boss BIGINT, salary DECIMAL(10, 2), bonus DOUBLE, hired DATE) AS VALUES
  (1, 'Ada', 10, NULL, 9000.00, 500.5, DATE '2010-01-04'),
  (2, 'Bob', 10, 1, 5000.00, NULL, DATE '2012-03-15'),
  (3, 'Cyd', 20, 1, 5000.00, 120.25, DATE '2012-03-15'),
  (4, 'Dan', 20, 3, 4200.50, 0.0, DATE '2015-07-31'),
  (5, 'Eve', 30, 3, 4200.50, 75.0, DATE '2016-02-29'),
  (6, 'Fay', NULL, 5, 3100.00, NULL, DATE '2018-12-31'),
  (7, 'Gus', 30, 5, 3100.00, 75.0, NULL),
  (8, 'Hal', 99, 7, 2500.75, -10.0, DATE '2020-06-01'),
  (9, 'Ida', 20, 3, NULL, 300.0, DATE '2019-11-11'),
  (10, 'Bob', 30, NULL, 6100.00, 42.0, DATE '2011-05-05'),
  (11, NULL, 10, 2, 2800.00, NULL, DATE '2021-01-01'),
  (12, 'Lea', NULL, 11, 2800.00, 12.5, DATE '2021-01-01');
CREATE TABLE dept (id BIGINT, title TEXT, city TEXT, budget DECIMAL(12, 2)) AS VALUES
  (10, 'Research', 'Oslo', 100000.00),
  (20, 'Sales', 'Rome', 50000.00),
  (30, 'Support', 'Oslo', NULL),
  (40, 'Archive', NULL, 0.00),
  (NULL, 'Ghost', 'Bern', 1.00);
CREATE TABLE r (a BIGINT, b BIGINT, c INT, t TEXT) AS VALUES
  (1, 10, 1, 'x'), (1, 10, 1, 'x'), (1, 20, 2, 'y'), (2, 20, 2, 'y'), (2, NULL, 3, 'x'), (3, 30, NULL, NULL),
  (3, 30, 4, 'z'), (NULL, 10, 5, 'x'), (NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL), (4, 40, 6, ''), (5, 50, -7, 'w'),
  (5, 51, -7, 'w'), (6, 0, 0, 'x'), (7, -1, 1, 'yy');
CREATE TABLE s (a BIGINT, b BIGINT, u TEXT) AS VALUES
  (1, 10, 'x'), (1, 11, 'p'), (2, 20, 'y'), (2, 20, 'y'), (3, NULL, 'z'), (NULL, 10, 'x'), (NULL, NULL, NULL), (5, 50, 'w'),
  (8, 80, 'q'), (8, 81, NULL), (9, 90, 'x'), (6, 0, '');
CREATE TABLE k (a BIGINT, v TEXT) AS VALUES (1, 'one'), (2, 'two'), (3, 'three'), (5, 'five'), (8, 'eight');
CREATE TABLE flags (x BOOLEAN, y BOOLEAN, n BIGINT) AS VALUES
  (true, true, 1), (true, false, 2), (true, NULL, 3), (false, true, 4), (false, false, 5), (false, NULL, 6),
  (NULL, true, 7), (NULL, false, 8), (NULL, NULL, 9);
CREATE TABLE words (w TEXT, n BIGINT) AS VALUES
  ('apple', 5), ('Apple', 5), ('banana', 6), ('cherry pie', 10), ('', 0), (NULL, NULL), ('  padded ', 9), ('a,b,,c', 6),
  ('Übung', 5), ('100%', 4), ('snake_case', 10), ('apple', 50), ('x-y-z', 5), ('2024-02-30', 10), ('naïve café', 10);
CREATE TABLE sales (id BIGINT, emp BIGINT, day DATE, ts TIMESTAMP, amount DECIMAL(10, 2), qty INT, tags BIGINT[]) AS VALUES
  (100, 1, DATE '2024-01-01', TIMESTAMP '2024-01-01 08:00:00', 10.00, 1, [1, 2]),
  (101, 1, DATE '2024-01-31', TIMESTAMP '2024-01-31 23:59:59.999', 20.50, 2, [2]),
  (102, 2, DATE '2024-02-29', TIMESTAMP '2024-02-29 12:30:15', 5.25, NULL, []),
  (103, 2, DATE '2024-03-01', TIMESTAMP '2024-03-01 00:00:00', 5.25, 3, NULL),
  (104, 3, DATE '2024-03-31', TIMESTAMP '2024-03-31 02:30:00', 99.99, 4, [3, NULL, 3]),
  (105, 3, NULL, NULL, 1.00, 5, [1]),
  (106, NULL, DATE '2023-12-31', TIMESTAMP '2023-12-31 23:59:59', NULL, 6, [4, 5, 6]),
  (107, 77, DATE '2024-12-31', TIMESTAMP '2024-12-31 06:00:00.5', 0.00, 7, [7]),
  (108, 5, DATE '2024-07-04', TIMESTAMP '2024-07-04 18:00:00', 30.00, 0, [2, 1]),
  (109, 5, DATE '2024-07-04', TIMESTAMP '2024-07-04 18:00:00', 30.00, 0, [2, 1]),
  (110, 9, DATE '1999-12-31', TIMESTAMP '1999-12-31 23:00:00', 12.34, 2, [0]),
  (111, 1, DATE '2024-01-01', TIMESTAMP '2024-01-01 09:15:00', 7.77, 1, [1]);
CREATE TABLE nothing (a BIGINT, t TEXT) AS SELECT a, v FROM k WHERE a < 0;
