-- Scalar functions over rows, the same in each way.
CREATE STREAM s (ts TIMESTAMP, t TEXT, x DOUBLE, i INT);
INSERT INTO s VALUES ('2024-02-29 13:14:15.678', 'Hello, World', 2.5, 7), ('1999-12-31 23:59:59', 'ünïcödé 🦀', -0.5, -7), (NULL, NULL, NULL, NULL);
SELECT upper(t) AS u, lower(t) AS l, length(t) AS n, reverse(t) AS r, substr(t, 2, 3) AS sub, replace(t, 'o', '0') AS rep, strpos(t, 'o') AS at FROM s;
SELECT regexp_replace(t, '[aeiou]', '*', 'g') AS stars, starts_with(t, 'Hell') AS sw, lpad(CAST(i AS TEXT), 4, '0') AS padded, md5(t) AS digest FROM s;
SELECT round(x) AS r, floor(x) AS f, ceil(x) AS c, abs(x) AS a, power(x, 2) AS p, i % 3 AS m, i / 2 AS half, sqrt(abs(x)) AS root FROM s;
SELECT date_trunc('hour', ts) AS h, extract(dow FROM ts) AS dow, date_part('epoch', ts) AS epoch, to_char(ts, '%Y/%m/%d') AS text, ts + INTERVAL '1 month' AS next_month FROM s;
SELECT coalesce(i, 0) AS c, nullif(i, 7) AS n, greatest(i, 0) AS g, least(i, 0) AS l, i BETWEEN 0 AND 10 AS b, i IS DISTINCT FROM 7 AS d FROM s;
SELECT CAST(x AS INT) AS i, CAST(i AS DOUBLE) AS d, CAST(ts AS DATE) AS day, CAST(i AS TEXT) || 'x' AS t, TRY_CAST(t AS INT) AS nothing FROM s;
SELECT date_bin(INTERVAL '15 minutes', ts) AS quarter, encode(t, 'hex') AS hex, concat_ws('-', t, i) AS joined FROM s;
