-- Valid on SQLite and PostgreSQL: BIGINT and TEXT only, times in milliseconds, booleans as 0 and 1.
CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    plan TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    suspended_ms BIGINT
);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    -- SHA-256 of the key, in hex. The key itself is nowhere.
    hash TEXT NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    -- From this moment on the key is refused. In the future while a rotation overlaps.
    revoked_ms BIGINT
);

CREATE INDEX api_keys_account ON api_keys (account_id);

-- Counts changes to accounts and keys, so that every node can tell when what it remembers is stale.
CREATE TABLE revisions (
    topic TEXT PRIMARY KEY,
    revision BIGINT NOT NULL
);

INSERT INTO revisions (topic, revision) VALUES ('identity', 0);
