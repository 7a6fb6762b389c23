-- In whose name an answer was asked for that may be given again; '' = from before it was kept: such a row goes
-- within a day by itself.
ALTER TABLE replays ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
