-- INSERT: column lists in any order, columns left out, casts, expressions, nulls, and several into one stream.
CREATE STREAM s (id INT NOT NULL, name TEXT, price DECIMAL(6,2), at TIMESTAMP, ok BOOLEAN, big BIGINT);
INSERT INTO s VALUES (1, 'one', 1.5, '2024-01-01 00:00:00', true, 10);
INSERT INTO s (name, id) VALUES ('two', 2), (NULL, 3);
INSERT INTO s (id, price, at) VALUES (2 + 2, 10 / 4.0, TIMESTAMP '2024-01-01 12:00:00'), (5, NULL, NULL);
INSERT INTO s (big, id) SELECT id, big FROM (SELECT 100 AS id, 6 AS big);
CREATE STREAM copy (label TEXT, twice BIGINT, day DATE);
INSERT INTO copy SELECT name, id * 2, at FROM s WHERE id < 3;
INSERT INTO copy (day, label) SELECT CAST(at AS DATE), 'again ' || id FROM s WHERE id > 3;
SELECT * FROM s;
SELECT * FROM copy;
SELECT count(*) AS n, sum(twice) AS t FROM copy;
INSERT INTO s (id, name) VALUES (NULL, 'x');
