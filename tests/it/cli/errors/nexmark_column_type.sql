CREATE STREAM bid (auction BIGINT, price INT) WITH (connector = 'nexmark', table = 'bid');
