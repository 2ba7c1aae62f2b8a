CREATE STREAM bid WITH (connector = 'nexmark', table = 'bid', events = 10);
INSERT INTO bid (auction) VALUES (1);
