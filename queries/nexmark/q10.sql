-- Nexmark q10: log to storage. Every bid is written, with the day and the minute by which it is stored.
--
--     millstream run queries/nexmark/q10.sql
--
-- The original writes files in a folder for each minute; here the log is the storage, and the bids go into a stream of
-- their own. What was written is counted at last.

CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

CREATE STREAM bid_log AS
SELECT auction, bidder, price, date_time, extra,
  to_char(date_time, '%Y-%m-%d') AS day, to_char(date_time, '%H:%M') AS minute
FROM bid;

SELECT day, minute, count(*) AS bids, count(DISTINCT auction) AS auctions, max(price) AS highest
FROM bid_log
GROUP BY day, minute;
