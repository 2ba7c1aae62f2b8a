CREATE TABLE bid (PRIMARY KEY (auction)) WITH (connector = 'nexmark', table = 'bid');
