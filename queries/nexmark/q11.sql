-- Nexmark q11: user sessions. How many bids did a person make without a break of more than ten seconds?
--
--     millstream run queries/nexmark/q11.sql

CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

SELECT bidder, count(*) AS bid_count, window_start AS starttime, window_end AS endtime
FROM SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(date_time), INTERVAL '10 seconds')
GROUP BY bidder, window_start, window_end;
