-- Times before 1970: windows are aligned there as well, and the first one that holds a row may begin before it.
CREATE STREAM s (ts TIMESTAMP, v INT, WATERMARK FOR ts AS ts - INTERVAL '1 hour');
INSERT INTO s VALUES
  ('1969-12-31 23:59:59.999', 1), ('1970-01-01 00:00:00', 2), ('1969-12-31 23:00:00', 4),
  ('1960-02-29 12:34:56.789', 8), ('1970-01-01 00:00:00.001', 16);
SELECT window_start, window_end, sum(v) AS total FROM TUMBLE(s, ts, INTERVAL '1 hour') GROUP BY window_start, window_end;
SELECT window_start, window_end, window_time, v FROM HOP(s, ts, INTERVAL '7 minutes', INTERVAL '10 minutes');
SELECT window_start, window_end, count(*) AS n
FROM TABLE(CUMULATE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '3' HOUR)) GROUP BY window_start, window_end;
