CREATE STREAM bid WITH (connector = 'nexmark', events = 100);
