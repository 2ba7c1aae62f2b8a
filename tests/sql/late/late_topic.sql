-- Late rows are kept where the stream says so.
CREATE STREAM s (ts TIMESTAMP, k TEXT, WATERMARK FOR ts AS ts) WITH (late_topic = 's_late');
INSERT INTO s VALUES ('2024-01-01 00:00:05', 'a'), ('2024-01-01 00:00:15', 'b'), ('2024-01-01 00:00:09', 'late'), ('2024-01-01 00:00:16', 'c');
CREATE STREAM counts AS SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start EMIT FINAL;
SELECT * FROM s_late;
SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start;
