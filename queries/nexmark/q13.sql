-- Nexmark q13: bounded side input. Every bid with what a fixed list says of its auction.
--
--     millstream run queries/nexmark/q13.sql
--
-- The original reads the list, ten thousand keys and values, from a file; here it is made by the view.
--
-- rows shown: 10

CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

CREATE VIEW side_input AS
SELECT key, concat('value-', key) AS value
FROM (SELECT unnest(range(0, 10000)) AS key) AS keys;

SELECT b.auction, b.bidder, b.price, b.date_time, s.value
FROM bid AS b
JOIN side_input AS s ON b.auction % 10000 = s.key;
