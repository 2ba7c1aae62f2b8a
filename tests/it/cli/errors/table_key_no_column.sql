CREATE TABLE trips (id BIGINT, city TEXT, PRIMARY KEY (id, cty));
