-- Answers of /v1/responses that are kept, so that a chain can go on, at whichever provider.
CREATE TABLE responses (
    account_id TEXT NOT NULL,
    id TEXT NOT NULL,
    previous_id TEXT,
    -- queued, in_progress, completed, incomplete, failed, cancelled
    status TEXT NOT NULL,
    background BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    -- Until then whoever works on it is taken to be alive.
    lease_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    -- The items of this turn alone, and the answer as the caller saw it; both JSON.
    input TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account_id, id)
);

CREATE INDEX responses_expiry ON responses (expires_ms);

-- Where an item stands that a later request refers to by its id alone.
CREATE TABLE response_items (
    account_id TEXT NOT NULL,
    id TEXT NOT NULL,
    response_id TEXT NOT NULL,
    PRIMARY KEY (account_id, id)
);

CREATE INDEX response_items_response ON response_items (account_id, response_id);

CREATE TABLE conversations (
    account_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    -- JSON
    metadata TEXT NOT NULL,
    PRIMARY KEY (account_id, id)
);

CREATE TABLE conversation_items (
    account_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    id TEXT NOT NULL,
    position BIGINT NOT NULL,
    -- JSON
    body TEXT NOT NULL,
    PRIMARY KEY (account_id, conversation_id, id)
);

CREATE INDEX conversation_items_order ON conversation_items (account_id, conversation_id, position);
