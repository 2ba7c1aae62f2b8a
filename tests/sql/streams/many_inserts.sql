-- Several INSERTs into one stream, from values and from streams; a stream through three others.
CREATE STREAM a (id INT, v INT);
CREATE STREAM b (id INT, v INT);
CREATE STREAM both (origin TEXT, id INT, v INT) WITH (partitions = 3, key = 'id');
INSERT INTO a VALUES (1, 10), (2, 20), (3, 30);
INSERT INTO b VALUES (1, 100), (4, 400);
INSERT INTO a VALUES (5, 50);
INSERT INTO both SELECT 'a', id, v FROM a;
INSERT INTO both SELECT 'b', id, v FROM b WHERE v > 0;
INSERT INTO both VALUES ('values', 9, 9);
CREATE STREAM c AS SELECT id, v + 1 AS v FROM both;
CREATE STREAM d AS SELECT id, v * 2 AS v FROM c WHERE id < 9;
SELECT origin, id, v FROM both;
SELECT id, v FROM d;
SELECT id, sum(v) AS total FROM d GROUP BY id;
