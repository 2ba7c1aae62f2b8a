-- Grouping sets beside a window.
CREATE STREAM bid (bidtime TIMESTAMP, price DECIMAL(10,2), item TEXT, supplier TEXT, WATERMARK FOR bidtime AS bidtime - INTERVAL '1' SECOND);
INSERT INTO bid VALUES
  ('2020-04-15 08:05:00', 4.00, 'C', 's1'), ('2020-04-15 08:07:00', 2.00, 'A', 's1'), ('2020-04-15 08:09:00', 5.00, 'D', 's2'),
  ('2020-04-15 08:11:00', 3.00, 'B', 's2'), ('2020-04-15 08:13:00', 1.00, 'E', 's1'), ('2020-04-15 08:17:00', 6.00, 'F', 's2');
SELECT window_start, window_end, item, supplier, sum(price) AS price
FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES)) GROUP BY window_start, window_end, CUBE (supplier, item);
SELECT window_start, window_end, supplier, sum(price) AS price
FROM TUMBLE(bid, bidtime, INTERVAL '10 minutes') GROUP BY window_start, window_end, ROLLUP (supplier);
SELECT window_start, supplier, sum(price) AS price
FROM TUMBLE(bid, bidtime, INTERVAL '10 minutes') GROUP BY GROUPING SETS ((window_start, supplier), (window_start));
