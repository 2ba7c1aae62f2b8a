CREATE TABLE trips (stops TEXT[], PRIMARY KEY (stops));
