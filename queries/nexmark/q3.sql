-- Nexmark q3: local item suggestion. Who in Oregon, Idaho or California sells in category 10, and what?
--
--     millstream run queries/nexmark/q3.sql
--
-- A join of two streams that both keep growing: a person may come after the auction.

CREATE STREAM person (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'person', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);
CREATE STREAM auction (WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (
  connector = 'nexmark', table = 'auction', events = 2000, inter_event = '50 milliseconds', out_of_order = '2 seconds'
);

SELECT p.name, p.city, p.state, a.id
FROM auction AS a
JOIN person AS p ON a.seller = p.id
WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA');
