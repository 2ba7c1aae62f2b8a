-- Nexmark q2: selection. The bids on certain auctions.
--
--     millstream run queries/nexmark/q2.sql

CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

SELECT auction, price
FROM bid
WHERE auction % 123 = 0;
