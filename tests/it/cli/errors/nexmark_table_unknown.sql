CREATE STREAM bid WITH (connector = 'nexmark', table = 'bids');
