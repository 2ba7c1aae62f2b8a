-- A subquery over a table whose key it fixes has one row for each row around it.
CREATE TABLE names (id INT, name TEXT, PRIMARY KEY (id));
CREATE STREAM s (k INT);
INSERT INTO names VALUES (1, 'one'), (2, 'two'), (3, NULL), (2, 'deux');
INSERT INTO s VALUES (1), (2), (3), (4), (NULL), (2);
SELECT k, (SELECT name FROM names WHERE id = 2) AS two FROM s;
SELECT k, (SELECT name FROM names WHERE names.id = s.k) AS name FROM s;
SELECT k FROM s WHERE (SELECT name FROM names WHERE names.id = s.k) IS NULL;
