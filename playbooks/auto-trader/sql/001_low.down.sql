DROP TABLE watchlists;
ALTER TABLE users DROP COLUMN phone;
