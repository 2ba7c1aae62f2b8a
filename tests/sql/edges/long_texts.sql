-- Long texts as keys and values.
CREATE STREAM s (k TEXT, v TEXT);
INSERT INTO s VALUES (repeat('k', 100000), 'a'), (repeat('k', 100000), 'b'), (repeat('k', 99999) || 'l', repeat('é', 70000)), ('', NULL);
SELECT length(k) AS len, right(k, 1) AS last, count(*) AS n, max(length(v)) AS longest FROM s GROUP BY k;
SELECT count(DISTINCT k) AS ks, length(max(v)) AS len, length(string_agg(k, '' ORDER BY k)) AS all_of_it FROM s;
