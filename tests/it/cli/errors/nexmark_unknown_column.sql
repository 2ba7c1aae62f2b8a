CREATE STREAM bid (auction BIGINT, dateTime TIMESTAMP) WITH (connector = 'nexmark', table = 'bid');
