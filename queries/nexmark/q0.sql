-- Nexmark q0: pass through. Every bid, as it is: what reading and writing alone cost.
--
--     millstream run queries/nexmark/q0.sql
--
-- rows shown: 10

CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

SELECT auction, bidder, price, date_time, extra
FROM bid;
