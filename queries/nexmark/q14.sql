-- Nexmark q14: calculation. Bids of a certain price in euros, by the time of day, with the number of c in their filler.
--
--     millstream run queries/nexmark/q14.sql
--
-- The original counts the letters in a function written in Java.
--
-- rows shown: 10

CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

SELECT auction, bidder, 0.908::DECIMAL(4, 3) * price AS price,
  CASE
    WHEN date_part('hour', date_time) BETWEEN 8 AND 18 THEN 'day time'
    WHEN date_part('hour', date_time) <= 6 OR date_part('hour', date_time) >= 20 THEN 'night time'
    ELSE 'other time'
  END AS bid_time_type,
  date_time, extra,
  character_length(extra) - character_length(replace(extra, 'c', '')) AS c_counts
FROM bid
WHERE 0.908::DECIMAL(4, 3) * price > 1000000 AND 0.908::DECIMAL(4, 3) * price < 50000000;
