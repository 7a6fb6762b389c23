-- Short-lived keys for pages and apps in other people's hands, each lent by an API key. Swept when they
-- have expired.
CREATE TABLE browser_keys (
    id TEXT PRIMARY KEY,
    -- SHA-256 of the key, in hex. The key itself is nowhere.
    hash TEXT NOT NULL UNIQUE,
    -- The key that lends it: without that one it is nothing.
    key_id TEXT NOT NULL,
    -- What it may do, as JSON.
    terms TEXT NOT NULL,
    -- The settings of a realtime session that it opens, as JSON.
    session TEXT,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE INDEX browser_keys_expire ON browser_keys (expires_ms);
