CREATE STREAM s (k TEXT, v INT);
CREATE STREAM t (k TEXT, w INT);
SELECT k, s.k AS left_k, v, w FROM s FULL JOIN t USING (k);
