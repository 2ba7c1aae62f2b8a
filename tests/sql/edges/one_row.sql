-- One row: it must not need another one to be seen.
CREATE STREAM s (ts TIMESTAMP, v INT, WATERMARK FOR ts AS ts - INTERVAL '1 day');
INSERT INTO s VALUES ('2024-01-01 00:00:00', 1);
SELECT window_start, window_end, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '1 hour') GROUP BY window_start, window_end;
SELECT sum(v) AS total FROM s;
SELECT count(*) AS n FROM (SELECT window_start, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '1 hour') GROUP BY window_start) WHERE total > 0;
