-- Mail that is to be sent, and what became of it. Any node takes one by a lease.
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    -- reset, verify, code, known, invitation
    kind TEXT NOT NULL,
    -- '' = of no account yet
    account_id TEXT NOT NULL,
    -- The address.
    target TEXT NOT NULL,
    -- JSON of subject and text, sealed where there is a key to seal with; '' once it was sent.
    body TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    due_ms BIGINT NOT NULL,
    -- Until when the node that took it has to be done.
    lease_ms BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    -- waiting, sent, dead
    state TEXT NOT NULL,
    last_error TEXT NOT NULL
);
CREATE INDEX outbox_due ON outbox (state, due_ms);
CREATE INDEX outbox_account ON outbox (account_id);

-- When a member proved that the address is theirs; NULL = not yet.
ALTER TABLE members ADD COLUMN verified_ms BIGINT;

-- Who asked for an account and is yet to say the code that was mailed. Nothing else exists of them.
CREATE TABLE pending_signups (
    email TEXT PRIMARY KEY,
    -- An Argon2 hash, in its own notation.
    password TEXT NOT NULL,
    -- '' = named after the address.
    organisation TEXT NOT NULL,
    -- SHA-256 of address and code, in hex.
    code TEXT NOT NULL,
    tries BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX pending_signups_expiry ON pending_signups (expires_ms);
