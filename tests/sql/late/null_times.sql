-- A row without an event time lies in no window; it does not move the watermark, and is there otherwise.
CREATE STREAM s (ts TIMESTAMP, k TEXT, WATERMARK FOR ts AS ts);
INSERT INTO s VALUES
  (NULL, 'n1'), ('2024-01-01 00:00:05', 'a'), (NULL, 'n2'), ('2024-01-01 00:00:15', 'b'), ('2024-01-01 00:00:09', 'late'), (NULL, NULL);
SELECT window_start, count(*) AS n, count(k) AS ks FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start;
SELECT k, window_start FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds');
SELECT count(*) AS n FROM s;
SELECT ts, count(*) AS n FROM s GROUP BY ts;
