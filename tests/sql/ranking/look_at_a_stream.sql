-- as written: a bounded LIMIT without ORDER BY shows the rows that come first; a continuous one the least by value
CREATE STREAM s (k TEXT, v INT, w TEXT);
INSERT INTO s VALUES ('a', 5, 'x'), ('a', 7, 'y'), ('b', 1, 'z'), ('a', 7, 'x'), ('a', NULL, 'n'), ('b', 1, 'z'), (NULL, 3, 'q'),
  ('b', 4, 'y'), ('a', 2, NULL), ('b', NULL, NULL), ('c', 9, 'm'), (NULL, 3, 'p'), ('a', 7, 'y'), ('c', -1, 'm');
SELECT k, v FROM s LIMIT 2;
SELECT k, v FROM s LIMIT 2 EMIT CHANGES;
SELECT k, v FROM s ORDER BY k, v DESC LIMIT 2 EMIT CHANGES;
