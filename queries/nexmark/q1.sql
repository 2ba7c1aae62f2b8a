-- Nexmark q1: currency conversion. Every bid with its price in euros instead of dollars.
--
--     millstream run queries/nexmark/q1.sql
--
-- The rate is a decimal, so that no cent is lost.
--
-- rows shown: 10

CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

SELECT auction, bidder, 0.908::DECIMAL(4, 3) * price AS price, date_time, extra
FROM bid;
