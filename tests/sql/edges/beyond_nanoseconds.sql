-- TIMESTAMP counts nanoseconds: times before 1677-09-21 and after 2262-04-11 do not fit, and are refused as data.
CREATE STREAM s (ts TIMESTAMP, v INT);
INSERT INTO s VALUES ('2024-01-01 00:00:00', 1), ('9999-12-31 23:59:59', 8);
