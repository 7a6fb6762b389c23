-- Which key an answer that may be given again was asked for with; '' = from before it was kept.
ALTER TABLE replays ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
