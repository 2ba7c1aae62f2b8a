-- The rows with their windows, not grouped; window_time is the last millisecond of the window.
CREATE STREAM bid (
  bidtime TIMESTAMP,
  price DECIMAL(10,2),
  item TEXT,
  WATERMARK FOR bidtime AS bidtime - INTERVAL '1' SECOND
);
INSERT INTO bid VALUES
  ('2020-04-15 08:05:00', 4.00, 'C'),
  ('2020-04-15 08:07:00', 2.00, 'A'),
  ('2020-04-15 08:11:00', 3.00, 'B'),
  ('2020-04-15 08:19:59.999', 1.00, 'E'),
  ('2020-04-15 08:20:00', 6.00, 'F');
SELECT * FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES));
SELECT bidtime, window_start, window_end, window_end - INTERVAL '1 millisecond' AS window_time
FROM TUMBLE(bid, bidtime, INTERVAL '10 minutes');
-- An alias, and columns through it.
SELECT w.item, w.window_time FROM TUMBLE(bid, bidtime, INTERVAL '10 minutes') AS w WHERE w.price > 2;
-- Where the columns are not named, the window's come last.
SELECT window_start, item FROM TUMBLE(bid, bidtime, INTERVAL '10 minutes') WHERE window_start >= '2020-04-15 08:10:00';
