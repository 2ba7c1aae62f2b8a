-- Nexmark q4: average price for a category. What does the winning bid of an auction come to, on average over a category?
--
--     millstream run queries/nexmark/q4.sql
--
-- The winning bid is the highest while the auction is open; each new highest one changes an average.
-- The average is a DOUBLE here, where the original cuts it to a whole number.

CREATE STREAM auction (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'auction', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);
CREATE STREAM bid (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'bid', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

SELECT q.category, avg(q.final) AS avg_final
FROM (
  SELECT max(b.price) AS final, a.category
  FROM auction AS a, bid AS b
  WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires
  GROUP BY a.id, a.category
) AS q
GROUP BY q.category;
