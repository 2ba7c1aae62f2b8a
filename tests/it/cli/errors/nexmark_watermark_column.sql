CREATE STREAM bid (WATERMARK FOR time AS time) WITH (connector = 'nexmark', table = 'bid');
