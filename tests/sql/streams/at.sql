-- AT: where a stream is read from, in all modes, with and without an alias, in windows, joins and subqueries.
CREATE STREAM s (id INT, k TEXT, ts TIMESTAMP, WATERMARK FOR ts AS ts);
INSERT INTO s VALUES
  (1, 'a', '2024-01-01 00:00:10'), (2, 'b', '2024-01-01 00:30:00'), (3, 'a', '2024-01-01 01:10:00'),
  (4, 'b', '2024-01-01 00:40:00'), (5, 'a', '2024-01-01 00:50:00'), (6, 'b', '2024-01-01 02:00:00');
CREATE STREAM r (id INT, w INT);
INSERT INTO r VALUES (1, 10), (3, 30), (5, 50), (6, 60);
SELECT id, k FROM s AT OFFSET 3;
SELECT x.id, x.k FROM s AT OFFSET 4 x WHERE x.k = 'a';
SELECT s.id FROM s AT EARLIEST WHERE s.k = 'b';
SELECT id FROM s AT '1999-01-01';
SELECT id FROM s AT TIMESTAMP '1999-01-01 10:00:00+01:00' AS t;
SELECT id FROM s AT OFFSET 6;
SELECT id FROM s AT OFFSET 1000;
SELECT id, s._offset AS o FROM s AT OFFSET 2;
SELECT * FROM s AT OFFSET 5 WHERE _partition = 0;
-- Rows that are late after what was read before are not late where that is left out.
SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '1 hour') GROUP BY window_start EMIT FINAL;
SELECT window_start, count(*) AS n FROM TUMBLE(s AT OFFSET 3, ts, INTERVAL '1 hour') GROUP BY window_start EMIT FINAL;
SELECT window_start, s.k, count(*) AS n FROM TUMBLE(TABLE s AT OFFSET 3, DESCRIPTOR(ts), INTERVAL '1 hour') GROUP BY window_start, s.k EMIT FINAL;
SELECT k, count(*) AS n FROM s AT OFFSET 3 WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY k EMIT FINAL;
SELECT a.id, b.w FROM s AT OFFSET 2 a JOIN r AT OFFSET 1 b ON a.id = b.id;
SELECT a.id AS early, b.id AS late FROM s a JOIN s AT OFFSET 4 b ON a.k = b.k AND a.id < b.id;
SELECT id, w FROM s AT OFFSET 1 JOIN r USING (id);
SELECT id FROM s WHERE id IN (SELECT id FROM r AT OFFSET 2);
WITH late AS (SELECT * FROM s AT OFFSET 4) SELECT count(*) AS n FROM late;
SELECT id FROM s AT OFFSET 5 UNION ALL SELECT id FROM s AT OFFSET 4;
CREATE VIEW tail AS SELECT id FROM s AT OFFSET 4;
SELECT sum(id) AS total FROM tail;
EXPLAIN SELECT a.id FROM s AT LATEST a JOIN s b ON a.id = b.id;
