-- Nexmark q20: bids with their auctions. All bids on auctions of category 10, with what is known of the auction.
--
--     millstream run queries/nexmark/q20.sql
--
-- rows shown: 10

CREATE STREAM auction (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'auction', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);
CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.date_time AS bid_date_time, b.extra AS bid_extra,
  a.item_name, a.description, a.initial_bid, a.reserve, a.date_time AS auction_date_time, a.expires,
  a.seller, a.category, a.extra AS auction_extra
FROM bid AS b
JOIN auction AS a ON b.auction = a.id
WHERE a.category = 10;
