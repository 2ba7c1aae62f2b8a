CREATE TABLE trips (id BIGINT, city TEXT, PRIMARY KEY (id));
CREATE TABLE trips (id BIGINT, city TEXT, PRIMARY KEY (city));
