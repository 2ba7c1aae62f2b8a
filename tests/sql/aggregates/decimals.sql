-- Decimals keep their digits; sums of integers and decimals do not overflow early.
CREATE STREAM d (k INT, a DECIMAL(10,2), b DECIMAL(38,10), i BIGINT);
INSERT INTO d VALUES (1, 0.10, 0.0000000001, 9000000000000000000), (1, 0.20, 12345678901234567890.0000000001, 1), (2, -5.55, NULL, -1), (1, 99999999.99, 1, 2);
SELECT k, sum(a) AS sa, avg(a) AS aa, sum(b) AS sb, max(b) AS mb, sum(i) AS si FROM d GROUP BY k;
SELECT 0.908 * i AS x, a * a AS sq FROM d WHERE k = 1 AND i < 100;
