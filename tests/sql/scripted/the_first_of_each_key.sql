-- A ranking that is kept up to date: who was in it and is not any more is taken back.
SET step_rows = 1;
CREATE STREAM scores (player TEXT, game TEXT, score BIGINT);
-- FEED scores
-- player | game  | score
-- ann    | chess | 5
-- bob    | chess | 7
-- cem    | chess | 6
-- ann    | go    | 1
SELECT game, player, score FROM (
  SELECT *, row_number() OVER (PARTITION BY game ORDER BY score DESC) AS n FROM scores
) WHERE n <= 2 EMIT CHANGES;
-- _op | game  | player | score
-- +   | chess | ann    | 5
-- +   | chess | bob    | 7
-- -   | chess | ann    | 5
-- +   | chess | cem    | 6
-- +   | go    | ann    | 1
