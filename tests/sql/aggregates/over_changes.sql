-- Aggregates over an aggregate: the inner one takes rows back.
CREATE STREAM s (k TEXT, g TEXT, v INT);
INSERT INTO s VALUES ('a', 'x', 1), ('b', 'x', 5), ('a', 'x', 7), ('c', 'y', 2), ('b', 'x', -5), ('d', 'y', NULL), ('c', 'y', 2), ('a', 'x', -8);
SELECT total, count(*) AS ks FROM (SELECT k, sum(v) AS total FROM s GROUP BY k) GROUP BY total;
SELECT g, min(total) AS least, max(total) AS most, avg(total) AS mean, count(DISTINCT total) AS different
FROM (SELECT g, k, sum(v) AS total FROM s GROUP BY g, k) GROUP BY g;
SELECT n, array_agg(k ORDER BY k) AS ks FROM (SELECT k, count(*) AS n FROM s GROUP BY k) GROUP BY n;
SELECT median(total) AS m, stddev(total) AS sd FROM (SELECT k, sum(v) AS total FROM s GROUP BY k);
SELECT DISTINCT n FROM (SELECT k, count(*) AS n FROM s GROUP BY k);
