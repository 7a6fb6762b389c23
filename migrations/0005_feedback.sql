-- What an account said of answers: how much better or worse than predicted, in millionths.
-- The administrator of the configuration has opinions too, and no row among the accounts.
CREATE TABLE feedback (
    account_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    model TEXT NOT NULL,
    residual BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (account_id, request_id, model)
);
