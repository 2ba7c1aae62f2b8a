-- A stream that a job writes feeds another job; both go on where they were.
CREATE STREAM lines (id BIGINT, text TEXT);
CREATE STREAM words AS SELECT id, unnest(string_to_array(text, ' ')) AS word FROM lines;
CREATE MATERIALIZED VIEW counts AS SELECT word, count(*) AS n FROM words GROUP BY word;
-- FEED lines
-- id | text
-- 1  | to be or not to be
SELECT * FROM counts ORDER BY n DESC, word LIMIT 2;
-- word | n
-- be   | 2
-- to   | 2

-- RESTART KILL
-- FEED lines
-- id | text
-- 2  | be quick
-- RESTART KILL
SELECT * FROM counts ORDER BY n DESC, word LIMIT 2;
-- word | n
-- be   | 3
-- to   | 2
SELECT count(*) AS words FROM words;
-- words
-- 8
