-- CUMULATE: windows that grow step by step to their size.
CREATE STREAM bid (bidtime TIMESTAMP, price DECIMAL(10,2), item TEXT, WATERMARK FOR bidtime AS bidtime);
INSERT INTO bid VALUES
  ('2020-04-15 08:01:00', 4.00, 'C'), ('2020-04-15 08:02:00', 2.00, 'A'), ('2020-04-15 08:05:59.999', 5.00, 'D'),
  ('2020-04-15 08:06:00', 3.00, 'B'), ('2020-04-15 08:11:00', 1.00, 'E');
SELECT window_start, window_end, sum(price) AS total
FROM TABLE(CUMULATE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '2' MINUTES, INTERVAL '10' MINUTES))
GROUP BY window_start, window_end;
SELECT window_start, window_end, count(*) AS n
FROM TABLE(CUMULATE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(bidtime), STEP => INTERVAL '5' MINUTES, SIZE => INTERVAL '10' MINUTES))
GROUP BY window_start, window_end;
