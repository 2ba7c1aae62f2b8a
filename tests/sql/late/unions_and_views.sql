-- Marks go through views, filters, projections, unnest and unions, up to the window.
CREATE STREAM s (ts TIMESTAMP, k TEXT, vs INT[], WATERMARK FOR ts AS ts) WITH (partitions = 2, key = 'k');
CREATE STREAM t (at TIMESTAMP, k TEXT, v INT, WATERMARK FOR at AS at - INTERVAL '20 seconds');
INSERT INTO s VALUES
  ('2024-01-01 00:00:11', 'a', [1, 2]), ('2024-01-01 00:00:05', 'a', [4]), ('2024-01-01 00:00:25', 'a', []), ('2024-01-01 00:00:19', 'a', [8]),
  ('2024-01-01 00:00:05', 'd', [16]), ('2024-01-01 00:00:33', 'd', NULL), ('2024-01-01 00:00:29', 'd', [32, 64]), ('2024-01-01 00:00:30', 'd', [128]);
INSERT INTO t VALUES ('2024-01-01 00:00:31', 'x', 1000), ('2024-01-01 00:00:12', 'x', 2000), ('2024-01-01 00:00:09', 'x', 4000), ('2024-01-01 00:00:45', 'x', 8000), ('2024-01-01 00:00:15', 'x', 16000);
CREATE VIEW flat AS SELECT ts, k, unnest(vs) AS v FROM s;
CREATE VIEW everything AS SELECT ts, v FROM flat WHERE v <> 2 UNION ALL SELECT at, v FROM t;
SELECT window_start, sum(v) AS total FROM TUMBLE(flat, ts, INTERVAL '10 seconds') GROUP BY window_start;
SELECT window_start, sum(v) AS total, count(*) AS n FROM TUMBLE(everything, ts, INTERVAL '10 seconds') GROUP BY window_start;
SELECT window_start, sum(x) AS total FROM (SELECT window_start, unnest(vs) AS x FROM TUMBLE(s, ts, INTERVAL '10 seconds')) GROUP BY window_start;
CREATE STREAM all_of_it AS SELECT ts, v FROM everything;
SELECT window_start, sum(v) AS total, count(*) AS n FROM TUMBLE(all_of_it, ts, INTERVAL '10 seconds') GROUP BY window_start;
