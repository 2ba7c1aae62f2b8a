-- Nexmark q12: windows of time. How many bids did a person make in each ten seconds?
--
--     millstream run queries/nexmark/q12.sql
--
-- The original counts by the time at which a bid happens to be read, so that no two of its runs agree. Here it is the
-- event time: the same question with one answer.

CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

SELECT bidder, count(*) AS bid_count, window_start AS starttime, window_end AS endtime
FROM TUMBLE(bid, date_time, INTERVAL '10 seconds')
GROUP BY bidder, window_start, window_end;
