-- Names: folded as in Postgres, kept as they are in quotes; letters of any script; words that are keywords.
CREATE STREAM "MyStream" ("Id" INT, id INT, "größe" DOUBLE, "select" TEXT, "a.b" TEXT, "q""uote" INT);
INSERT INTO "MyStream" VALUES (1, 2, 1.5, 'x', 'dot', 7), (3, 4, -2.5, 'y', NULL, 8);
SELECT * FROM "MyStream";
SELECT "Id", ID, "größe" * 2 AS "Doppelt", "select" AS "From", "a.b", "q""uote" FROM "MyStream";
SELECT "MyStream"."Id" AS i, count(*) AS "COUNT" FROM "MyStream" GROUP BY "Id";
CREATE STREAM events (时间 TIMESTAMP, 键 TEXT, WATERMARK FOR 时间 AS 时间);
INSERT INTO events VALUES ('2024-01-01 00:00:00', '🦀'), ('2024-01-01 00:00:01', 'é'), ('2024-01-01 00:00:12', '🦀');
SELECT window_start AS 开始, 键, count(*) AS 数 FROM TUMBLE(events, 时间, INTERVAL '10 seconds') GROUP BY window_start, 键;
SELECT Id FROM "MyStream";
