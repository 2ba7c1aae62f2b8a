CREATE STREAM bid WITH (connector = 'nexmark', table = 'bid', events = 100);
CREATE STREAM bid WITH (connector = 'nexmark', table = 'bid', events = 200);
