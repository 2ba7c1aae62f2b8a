-- One meaning, every spelling of TUMBLE: all queries give the same windows.
CREATE STREAM bid (
  bidtime TIMESTAMP,
  price DECIMAL(10,2),
  item TEXT,
  WATERMARK FOR bidtime AS bidtime - INTERVAL '1' SECOND
);
INSERT INTO bid VALUES
  ('2020-04-15 08:05:00', 4.00, 'C'),
  ('2020-04-15 08:07:00', 2.00, 'A'),
  ('2020-04-15 08:09:00', 5.00, 'D'),
  ('2020-04-15 08:11:00', 3.00, 'B'),
  ('2020-04-15 08:13:00', 1.00, 'E'),
  ('2020-04-15 08:17:00', 6.00, 'F');

-- Flink: by position, with and without TABLE( ).
SELECT window_start, window_end, sum(price) AS total
FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES))
GROUP BY window_start, window_end;
SELECT window_start, window_end, sum(price) AS total
FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTE)
GROUP BY window_start, window_end;
-- Flink: by name, in any order.
SELECT window_start, window_end, sum(price) AS total
FROM TABLE(TUMBLE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(bidtime), SIZE => INTERVAL '10' MINUTES))
GROUP BY window_start, window_end;
SELECT window_start, window_end, sum(price) AS total
FROM TABLE(TUMBLE(SIZE => INTERVAL '10' MINUTES, TIMECOL => DESCRIPTOR(bidtime), DATA => TABLE bid))
GROUP BY window_start, window_end;
-- RisingWave.
SELECT window_start, window_end, sum(price) AS total
FROM TUMBLE(bid, bidtime, INTERVAL '10 minutes')
GROUP BY window_start, window_end;
-- ksqlDB: the window belongs to the group.
SELECT WINDOWSTART AS window_start, WINDOWEND AS window_end, sum(price) AS total
FROM bid WINDOW TUMBLING (SIZE 10 MINUTES)
GROUP BY 'all';
-- Flink, older: the window in the GROUP BY.
SELECT TUMBLE_START(bidtime, INTERVAL '10' MINUTE) AS window_start, TUMBLE_END(bidtime, INTERVAL '10' MINUTE) AS window_end,
  sum(price) AS total
FROM bid
GROUP BY TUMBLE(bidtime, INTERVAL '10' MINUTE);
