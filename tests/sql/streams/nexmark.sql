-- Generated streams: all columns, partitions, times out of order, and what refers to what.
CREATE STREAM person (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds')
WITH (connector = 'nexmark', table = 'person', events = 160, seed = 7, inter_event = '1 second');
CREATE STREAM auction WITH (connector = 'nexmark', table = 'auction', events = 160, seed = 7, inter_event = '1 second');
CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '2 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 160, seed = 7, inter_event = '1 second', partitions = 3,
  out_of_order = '20 seconds'
);
-- Some of the columns, in another order, and times in nanoseconds.
CREATE STREAM short (price BIGINT, date_time TIMESTAMP, auction BIGINT NOT NULL)
WITH (connector = 'nexmark', table = 'bid', events = 20, seed = 7, first_time = '2024-02-29 23:59:59', inter_event = '100 ms');
CREATE STREAM nothing WITH (connector = 'nexmark', table = 'bid', events = 4);

DESCRIBE person;
DESCRIBE auction;
DESCRIBE bid;
SHOW STREAMS;

SELECT * FROM person;
SELECT * FROM auction;
SELECT * FROM short;
SELECT count(*) AS rows FROM nothing;
SELECT count(*) AS rows FROM bid;
SELECT auction, bidder, price, channel, url, date_time FROM bid WHERE auction = 1003;
-- Some bids come too late for their window.
SELECT window_start, count(*) AS bids, count(DISTINCT bidder) AS bidders, max(price) AS highest
FROM TUMBLE(bid, date_time, INTERVAL '10 seconds')
GROUP BY window_start, window_end;
