-- GROUPING SETS, ROLLUP, CUBE and grouping(); a null of the data and a null of a set are different groups.
CREATE STREAM products (supplier TEXT, product TEXT, rating INT);
INSERT INTO products VALUES
  ('s1', 'p1', 4), ('s1', 'p2', 3), ('s2', 'p3', 3), ('s2', 'p4', 4), ('s2', NULL, 4), (NULL, 'p5', NULL), ('s1', 'p1', 4);
SELECT supplier, rating, count(*) AS total FROM products GROUP BY ROLLUP (supplier, rating);
SELECT supplier, rating, product, count(*) AS total FROM products GROUP BY CUBE (supplier, rating, product);
SELECT supplier, rating, count(*) AS total, grouping(supplier) AS gs, grouping(rating) AS gr
FROM products GROUP BY GROUPING SETS ((supplier, rating), (supplier), (rating), ());
SELECT supplier, rating, sum(rating) AS stars FROM products GROUP BY supplier, ROLLUP (rating);
SELECT supplier, count(*) AS n FROM products GROUP BY GROUPING SETS ((supplier), ()) HAVING count(*) > 2;
