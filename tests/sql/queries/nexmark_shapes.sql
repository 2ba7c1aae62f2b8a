-- The shapes of well-known benchmark queries over a few bids: currency, statistics per auction, parts of a URL.
CREATE STREAM bid (auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, url TEXT, date_time TIMESTAMP, WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND);
INSERT INTO bid VALUES
  (1000, 1, 73134520, 'Apple', 'https://shop.example/abc/de/f_/item.htm?query=1', '2015-07-15 00:00:01'),
  (1000, 2, 499920, 'Google', 'https://shop.example/xa/bnn/fl/item.htm?query=1', '2015-07-15 00:00:01.001'),
  (1004, 1, 1940, 'channel-9', 'https://shop.example/m/w/x/item.htm?channel_id=43', '2015-07-15 00:00:02.001'),
  (1004, 3, 12655, 'channel-9', 'https://shop.example/a', '2015-07-15 23:59:59'),
  (1000, 1, 242, 'Apple', '', '2015-07-16 00:00:00');
SELECT auction, bidder, 0.908 * price AS price, date_time FROM bid;
SELECT auction, CAST(CAST(date_time AS DATE) AS VARCHAR) AS day, COUNT(*) AS total_bids,
  COUNT(*) FILTER (WHERE price < 10000) AS rank1_bids, COUNT(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
  COUNT(*) FILTER (WHERE price >= 1000000) AS rank3_bids, MIN(price) AS min_price, MAX(price) AS max_price, AVG(price) AS avg_price, SUM(price) AS sum_price
FROM bid GROUP BY auction, CAST(CAST(date_time AS DATE) AS VARCHAR);
SELECT auction, split_part(url, '/', 4) AS dir1, split_part(url, '/', 5) AS dir2, split_part(url, '/', 6) AS dir3 FROM bid;
SELECT auction, regexp_match(url, 'channel_id=([0-9]+)')[1] AS channel_id FROM bid WHERE url LIKE '%channel_id%';
