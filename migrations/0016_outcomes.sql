-- What the answers of a model have shown by themselves, by account: bounded sums as JSON, and how often
-- each sign was seen.
CREATE TABLE outcomes (
    account_id TEXT NOT NULL,
    model TEXT NOT NULL,
    record TEXT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (account_id, model)
);
