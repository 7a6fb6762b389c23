-- How much more than its cost usage is sold for, in nano-USD; below nothing, where it is sold for less. A
-- difference, so that what is written without it is sold at its cost.
ALTER TABLE usage_minutes ADD COLUMN above_nanos BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hours ADD COLUMN above_nanos BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN above_nanos BIGINT NOT NULL DEFAULT 0;
