CREATE STREAM s (id INT, j TEXT);
SELECT id -> 'a' FROM s;
