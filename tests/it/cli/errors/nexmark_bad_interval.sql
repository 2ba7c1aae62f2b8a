CREATE STREAM bid WITH (connector = 'nexmark', table = 'bid', inter_event = '1 month');
