-- Windows over a table: rows move between windows, and no row is late.
CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP, x INT);
INSERT INTO t VALUES (1, TIMESTAMP '2024-01-01 10:00:00', 1), (2, TIMESTAMP '2024-01-01 12:00:00', 2),
  (3, TIMESTAMP '2024-01-01 10:30:00', 3), (4, NULL, 4);
UPDATE t SET at = at + INTERVAL '1 hour' WHERE id = 1;
DELETE FROM t WHERE id = 2;
SELECT window_start, count(*) AS n, sum(x) AS x FROM TUMBLE(TABLE t, DESCRIPTOR(at), INTERVAL '1 hour') GROUP BY window_start;
SELECT window_start, window_end, max(x) AS x FROM HOP(TABLE t, DESCRIPTOR(at), INTERVAL '30 minutes', INTERVAL '1 hour')
GROUP BY window_start, window_end;
SELECT id, window_start FROM TUMBLE(TABLE t, DESCRIPTOR(at), INTERVAL '1 hour');
