-- Windows over a column that is not the event time, over a computed one, and over a stream without a watermark: nothing
-- tells that such a window is over, so nothing in it is late, and it is final when the input ends.
CREATE STREAM s (ts TIMESTAMP, other TIMESTAMP, v INT, WATERMARK FOR ts AS ts);
CREATE STREAM u (ts TIMESTAMP, v INT);
INSERT INTO s VALUES
  ('2024-01-01 00:00:01', '2024-01-01 00:05:00', 1), ('2024-01-01 00:00:30', '2024-01-01 00:00:01', 2),
  ('2024-01-01 00:00:05', '2024-01-01 00:05:01', 4), ('2024-01-01 00:00:31', NULL, 8),
  ('2024-01-01 00:10:00', '2024-01-01 00:00:02', 16), ('2024-01-01 00:10:10', '2024-01-01 00:00:03', 32), ('2024-01-01 00:10:09', '2024-01-01 00:00:04', 64);
INSERT INTO u VALUES ('2024-01-01 00:00:30', 1), ('2024-01-01 00:00:01', 2), (NULL, 4), ('2024-01-01 00:00:29', 8);
SELECT window_start, sum(v) AS total FROM TUMBLE(s, other, INTERVAL '10 seconds') GROUP BY window_start;
SELECT window_start, sum(v) AS total FROM TUMBLE((SELECT ts + INTERVAL '1 hour' AS later, v FROM s), later, INTERVAL '10 seconds') GROUP BY window_start;
SELECT window_start, sum(v) AS total FROM TUMBLE((SELECT ts AS renamed, v FROM s), renamed, INTERVAL '10 seconds') GROUP BY window_start;
SELECT window_start, sum(v) AS total FROM TUMBLE(u, ts, INTERVAL '10 seconds') GROUP BY window_start;
SELECT window_start, v FROM HOP(u, ts, INTERVAL '5 seconds', INTERVAL '10 seconds');
SELECT sum(v) AS total FROM u WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY 1 = 1;
