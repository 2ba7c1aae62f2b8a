CREATE STREAM s (city TEXT) WITH (key = 'citi');
