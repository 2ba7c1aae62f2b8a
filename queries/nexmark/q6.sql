-- Nexmark q6: average selling price by seller. What did the last auctions of a seller bring, on average?
--
--     millstream run queries/nexmark/q6.sql
--
-- The winning bid of each auction is found as in q9; then, for each of a seller's auctions in the order of their winning bids,
-- the average over it and the ten before it.

CREATE STREAM auction (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'auction', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);
CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

-- The winning bids, numbered for each seller.
CREATE VIEW winning AS
SELECT seller, id, date_time, price, row_number() OVER (PARTITION BY seller ORDER BY date_time, id) AS number
FROM (
  SELECT a.id, a.seller, b.price, b.date_time,
    row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time) AS rownum
  FROM auction AS a, bid AS b
  WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires
) AS ranked
WHERE rownum <= 1;

-- The usual form: an average over a frame of rows, which a SELECT answers once.
SELECT seller, date_time, id,
  avg(price) OVER (PARTITION BY seller ORDER BY number ROWS BETWEEN 10 PRECEDING AND CURRENT ROW) AS avg_price
FROM winning;

-- The same as a join, which can be kept up to date.
SELECT w.seller, w.date_time, w.id, avg(before.price) AS avg_price
FROM winning AS w
JOIN winning AS before ON before.seller = w.seller AND before.number BETWEEN w.number - 10 AND w.number
GROUP BY w.seller, w.date_time, w.id;
