CREATE STREAM bid WITH (connector = 'nexmark', table = 'bid', event = 100);
