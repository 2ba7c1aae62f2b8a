-- An unmatched row goes out once, when by the watermark no match can come any more.
CREATE STREAM shown (id BIGINT, at TIMESTAMP, WATERMARK FOR at AS at);
CREATE STREAM clicked (id BIGINT, at TIMESTAMP, WATERMARK FOR at AS at);
CREATE STREAM seen AS
SELECT s.id, c.at AS clicked
FROM shown s LEFT JOIN clicked c ON s.id = c.id AND c.at BETWEEN s.at AND s.at + INTERVAL '10 minutes'
EMIT FINAL;
-- FEED shown
-- id | at
-- 1  | 2026-01-31 12:00:00
-- 2  | 2026-01-31 12:01:00
-- FEED clicked
-- id | at
-- 2  | 2026-01-31 12:05:00
SELECT * FROM seen;
-- id | clicked
-- 2  | 2026-01-31 12:05:00

-- WATERMARK clicked 2026-01-31 12:10:01
-- WATERMARK shown 2026-01-31 12:10:01
SELECT * FROM seen ORDER BY id;
-- id | clicked
-- 1  | NULL
-- 2  | 2026-01-31 12:05:00
