-- Aggregate functions of many kinds over rows that only come.
CREATE STREAM m (k TEXT, x DOUBLE, y DOUBLE, i INT, f BOOLEAN);
INSERT INTO m VALUES
  ('a', 1, 2, 6, true), ('a', 2, 3, 3, false), ('a', 4, 9, 12, true), ('b', 5, NULL, NULL, NULL), ('b', 7, 1, 5, true), ('c', NULL, NULL, NULL, NULL);
SELECT k, stddev(x) AS sd, var_pop(x) AS vp, median(i) AS med, approx_distinct(i) AS ad FROM m GROUP BY k;
SELECT k, corr(x, y) AS c, covar_samp(x, y) AS cs, regr_slope(y, x) AS slope FROM m GROUP BY k;
SELECT k, bool_and(f) AS every, bool_or(f) AS any_true, bit_and(i) AS ba, bit_or(i) AS bo, bit_xor(i) AS bx FROM m GROUP BY k;
SELECT k, first_value(i ORDER BY x) AS first, last_value(i ORDER BY x) AS last, nth_value(i, 2 ORDER BY x) AS second FROM m GROUP BY k;
SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS p50 FROM m GROUP BY k;
