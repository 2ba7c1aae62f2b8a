-- Flink's older group windows with all their auxiliary functions, keys beside the window, and HAVING.
CREATE STREAM orders (ts TIMESTAMP, who TEXT, amount INT, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND);
INSERT INTO orders VALUES
  ('2024-03-01 10:00:01', 'ann', 5), ('2024-03-01 10:00:30', 'bob', 7), ('2024-03-01 10:00:59.999', 'ann', 1),
  ('2024-03-01 10:01:00', 'ann', 2), ('2024-03-01 10:03:00', 'bob', 9);
SELECT who, TUMBLE_START(ts, INTERVAL '1' MINUTE) AS s, TUMBLE_END(ts, INTERVAL '1' MINUTE) AS e,
  TUMBLE_ROWTIME(ts, INTERVAL '1' MINUTE) AS r, sum(amount) AS total
FROM orders GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), who;
SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE) AS s, count(*) AS n
FROM orders GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE) HAVING count(*) > 1;
SELECT who, HOP_START(ts, INTERVAL '30' SECOND, INTERVAL '1' MINUTE) AS s, HOP_ROWTIME(ts, INTERVAL '30' SECOND, INTERVAL '1' MINUTE) AS r,
  max(amount) AS most
FROM orders GROUP BY who, HOP(ts, INTERVAL '30' SECOND, INTERVAL '1' MINUTE);
