-- FILTER, DISTINCT aggregates, HAVING, expressions over aggregates, ordered aggregates.
CREATE STREAM b (auction INT, price BIGINT, who TEXT);
INSERT INTO b VALUES
  (1, 100, 'a'), (1, 20000, 'b'), (1, 100, 'a'), (2, 5, NULL), (2, 2000000, 'a'), (2, NULL, 'c'), (3, NULL, NULL), (3, NULL, 'b'), (1, 7, 'c');
SELECT auction, count(*) AS total, count(*) FILTER (WHERE price < 10000) AS low, count(*) FILTER (WHERE price >= 10000) AS high,
  min(price) AS least, max(price) AS most, avg(price) AS mean, sum(price) AS total_price
FROM b GROUP BY auction;
SELECT auction, count(DISTINCT who) AS people, count(DISTINCT price) AS prices, sum(DISTINCT price) AS sum_once FROM b GROUP BY auction;
SELECT auction, count(DISTINCT who) FILTER (WHERE price > 50) AS people FROM b GROUP BY auction;
SELECT auction, sum(price) AS s FROM b GROUP BY auction HAVING sum(price) > 1000 AND count(*) < 4;
SELECT auction % 2 AS odd, 2 * sum(price) + count(*) AS x FROM b GROUP BY auction % 2;
SELECT auction, array_agg(price ORDER BY price DESC) AS prices, string_agg(who, ',' ORDER BY who) AS people FROM b GROUP BY auction;
SELECT count(*) AS n, count(price) AS prices, min(who) AS first, max(who) AS last FROM b;
