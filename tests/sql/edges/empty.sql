-- Streams that hold nothing: an aggregate without GROUP BY still has its one row, one with GROUP BY has none.
CREATE STREAM e (ts TIMESTAMP, k TEXT, v INT, xs INT[], WATERMARK FOR ts AS ts);
SELECT count(*) AS n, sum(v) AS total, min(k) AS least, count(DISTINCT k) AS ks, array_agg(v) AS vs FROM e;
SELECT k, count(*) AS n FROM e GROUP BY k;
SELECT * FROM e;
SELECT DISTINCT k FROM e;
SELECT count(*) AS n FROM e HAVING count(*) > 0;
SELECT window_start, count(*) AS n FROM TUMBLE(e, ts, INTERVAL '1 hour') GROUP BY window_start;
SELECT count(*) AS windows FROM (SELECT window_start FROM TUMBLE(e, ts, INTERVAL '1 hour') GROUP BY window_start);
SELECT n, count(*) AS c FROM (SELECT count(*) AS n FROM e) GROUP BY n;
SELECT count(*) AS n FROM e UNION ALL SELECT 7;
SELECT unnest(xs) AS x FROM e;
SELECT count(*) AS n FROM e WHERE false;
