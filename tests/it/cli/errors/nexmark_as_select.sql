CREATE STREAM bid WITH (connector = 'nexmark', table = 'bid', events = 100);
CREATE STREAM copy WITH (connector = 'nexmark', table = 'bid') AS SELECT * FROM bid;
