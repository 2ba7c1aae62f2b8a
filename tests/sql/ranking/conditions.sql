-- Every way to say which ranks are wanted, alone and beside other conditions.
CREATE STREAM s (k TEXT, v INT, w TEXT);
INSERT INTO s VALUES ('a', 5, 'x'), ('a', 7, 'y'), ('b', 1, 'z'), ('a', 7, 'x'), ('a', NULL, 'n'), ('b', 1, 'z'), (NULL, 3, 'q'),
  ('b', 4, 'y'), ('a', 2, NULL), ('b', NULL, NULL), ('c', 9, 'm'), (NULL, 3, 'p'), ('a', 7, 'y'), ('c', -1, 'm');
CREATE VIEW ranked AS SELECT k, v, w, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM s;
SELECT * FROM ranked WHERE rn < 2;
SELECT * FROM ranked WHERE 2 >= rn;
SELECT * FROM ranked WHERE 1 = rn;
SELECT * FROM ranked WHERE rn = 2;
SELECT * FROM ranked WHERE rn BETWEEN 2 AND 3;
SELECT * FROM ranked WHERE rn > 1 AND rn <= 3 AND v > 1;
SELECT * FROM ranked WHERE rn IN (1, 3);
SELECT * FROM ranked WHERE rn = 1 OR rn = 4;
SELECT * FROM ranked WHERE rn <= 2 AND (k = 'a' OR v IS NULL);
SELECT * FROM ranked WHERE rn <= 3 AND rn % 2 = 1;
SELECT * FROM ranked WHERE rn <= v;
SELECT * FROM ranked WHERE rn >= 4;
SELECT * FROM ranked WHERE rn <= 0;
SELECT * FROM ranked WHERE rn < -1;
SELECT * FROM ranked WHERE rn > 2 AND rn < 2;
SELECT a.k AS key, a.place FROM (SELECT k, rn + 10 AS place, rn FROM ranked) AS a WHERE a.place <= 12 AND a.rn <= 3;
SELECT k, v, w FROM s QUALIFY row_number() OVER (PARTITION BY k ORDER BY v, w) <= 2;
SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY v, w) AS rn FROM s WHERE w <> 'z' QUALIFY rn <= 2;
