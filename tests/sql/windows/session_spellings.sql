-- Every spelling of SESSION: who came, in visits with no more than five minutes between two steps.
CREATE STREAM clicks (
  ts TIMESTAMP,
  who TEXT,
  page TEXT,
  WATERMARK FOR ts AS ts - INTERVAL '1' MINUTE
) WITH (partitions = 2, key = 'who');
INSERT INTO clicks VALUES
  ('2024-05-01 08:00:00', 'ann', 'a'), ('2024-05-01 08:02:00', 'bob', 'a'), ('2024-05-01 08:04:30', 'ann', 'b'),
  ('2024-05-01 08:04:00', 'bob', 'c'), ('2024-05-01 08:09:30', 'ann', 'c'), ('2024-05-01 08:14:31', 'ann', 'd'),
  ('2024-05-01 08:20:00', 'bob', 'b');
SELECT ts, who, page, window_start, window_end, window_time
FROM TABLE(SESSION(DATA => TABLE clicks PARTITION BY who, TIMECOL => DESCRIPTOR(ts), GAP => INTERVAL '5' MINUTES));
SELECT who, window_start, window_end, count(*) AS n
FROM TABLE(SESSION(TABLE clicks PARTITION BY who, DESCRIPTOR(ts), INTERVAL '5' MINUTES))
GROUP BY who, window_start, window_end;
SELECT who, window_start, window_end, count(*) AS n
FROM SESSION(TABLE clicks PARTITION BY (who), DESCRIPTOR(ts), INTERVAL '5' MINUTES)
GROUP BY who, window_start, window_end;
SELECT who, window_start, window_end, count(*) AS n
FROM SESSION(clicks, ts, INTERVAL '5 minutes', PARTITION => who)
GROUP BY who, window_start, window_end;
SELECT c.who, c.window_start, c.window_end, count(*) AS n
FROM SESSION(clicks PARTITION BY who, ts, INTERVAL '5 minutes') AS c
GROUP BY c.who, c.window_start, c.window_end;
SELECT who, window_start, window_end, count(*) AS n
FROM SESSION((SELECT * FROM clicks WHERE page <> 'x') PARTITION BY who, ts, INTERVAL '5 minutes', GRACE => INTERVAL '0 seconds')
GROUP BY who, window_start, window_end;
SELECT who, WINDOWSTART AS window_start, WINDOWEND AS window_end, count(*) AS n
FROM clicks WINDOW SESSION (5 MINUTES)
GROUP BY who;
SELECT c.who, WINDOWSTART AS window_start, WINDOWEND AS window_end, count(*) AS n
FROM clicks c WINDOW SESSION (300 SECONDS, RETENTION 7 DAYS, GRACE PERIOD 0 SECONDS)
GROUP BY c.who, WINDOWSTART HAVING count(*) > 0 EMIT FINAL;
SELECT who, SESSION_START(ts, INTERVAL '5' MINUTE) AS window_start, SESSION_END(ts, INTERVAL '5' MINUTE) AS window_end, count(*) AS n
FROM clicks GROUP BY SESSION(ts, INTERVAL '5' MINUTE), who;
SELECT SESSION_ROWTIME(ts, INTERVAL '5' MINUTE) AS t, who, count(*) AS n
FROM clicks GROUP BY who, SESSION(ts, INTERVAL '5' MINUTE);
-- Several keys, in both forms, and none: sessions of all rows.
SELECT who, page, window_start, count(*) AS n
FROM SESSION(TABLE clicks PARTITION BY who, page, DESCRIPTOR(ts), INTERVAL '5' MINUTES) GROUP BY who, page, window_start, window_end;
SELECT who, page, window_start, count(*) AS n
FROM SESSION(clicks, ts, INTERVAL '5 minutes', PARTITION => (who, page)) GROUP BY who, page, window_start, window_end;
SELECT window_start, window_end, count(*) AS n, count(DISTINCT who) AS people
FROM SESSION(clicks, ts, INTERVAL '5 minutes') GROUP BY window_start, window_end;
SELECT SESSION_END(ts, INTERVAL '5' MINUTE) AS e, count(*) AS n FROM clicks GROUP BY SESSION(ts, INTERVAL '5' MINUTE);
