-- What usage is sold for, in nano-USD. Until now that was its cost.
ALTER TABLE usage_minutes ADD COLUMN list_nanos BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hours ADD COLUMN list_nanos BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN list_nanos BIGINT NOT NULL DEFAULT 0;
UPDATE usage_minutes SET list_nanos = nanos;
UPDATE usage_hours SET list_nanos = nanos;
UPDATE usage_days SET list_nanos = nanos;
