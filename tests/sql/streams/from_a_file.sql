-- Straight from a file, and through a topic with several partitions: the same.
CREATE STREAM visits_file (at TIMESTAMP, page TEXT, ms INT, WATERMARK FOR at AS at - INTERVAL '10 seconds')
WITH (connector = 'file', path = 'tests/sql/data/visits.jsonl', format = 'json');
SELECT window_start, page, count(*) AS n, max(ms) AS slowest FROM TUMBLE(visits_file, at, INTERVAL '20 seconds') GROUP BY window_start, page;
CREATE STREAM visits (at TIMESTAMP, page TEXT, ms INT, WATERMARK FOR at AS at - INTERVAL '10 seconds');
INSERT INTO visits SELECT * FROM visits_file;
SELECT window_start, page, count(*) AS n, max(ms) AS slowest FROM TUMBLE(visits, at, INTERVAL '20 seconds') GROUP BY window_start, page;
CREATE STREAM chain AS SELECT at, page, ms FROM visits_file;
SELECT window_start, page, count(*) AS n, max(ms) AS slowest FROM TUMBLE(chain, at, INTERVAL '20 seconds') GROUP BY window_start, page;
