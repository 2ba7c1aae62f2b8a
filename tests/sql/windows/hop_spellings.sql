-- Every spelling of HOP. Each row lies in two windows of ten minutes, one every five.
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
SELECT bidtime, price, item, window_start, window_end, window_time
FROM TABLE(HOP(DATA => TABLE bid, TIMECOL => DESCRIPTOR(bidtime), SLIDE => INTERVAL '5' MINUTES, SIZE => INTERVAL '10' MINUTES));
SELECT window_start, window_end, sum(price) AS total, count(*) AS n
FROM TABLE(HOP(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES))
GROUP BY window_start, window_end;
SELECT window_start, window_end, sum(price) AS total, count(*) AS n
FROM HOP(bid, bidtime, INTERVAL '5 minutes', INTERVAL '10 minutes')
GROUP BY window_start, window_end;
SELECT WINDOWSTART AS window_start, WINDOWEND AS window_end, sum(price) AS total, count(*) AS n
FROM bid WINDOW HOPPING (SIZE 10 MINUTES, ADVANCE BY 5 MINUTES)
GROUP BY 1 = 1;
SELECT HOP_START(bidtime, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) AS window_start,
  HOP_END(bidtime, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) AS window_end, sum(price) AS total, count(*) AS n
FROM bid
GROUP BY HOP(bidtime, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE);
