CREATE STREAM bid WITH (connector = 'nexmark', table = 'bid', events = 'many');
