-- Pages of the journal, as they stand in its files. The place is the key: a page posted twice is
-- there once.
CREATE TABLE ledger_pages (
    segment TEXT NOT NULL,
    first_line BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    least_id TEXT NOT NULL,
    greatest_id TEXT NOT NULL,
    settled_ms BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (segment, first_line)
);

CREATE INDEX ledger_pages_settled ON ledger_pages (settled_ms);

-- Append-only, double entry: the entries of a posting add up to nothing, in credits and in
-- nano-USD. Books: customer (what an account has), usage (what was delivered), issued (where the
-- credits of plans and grants come from).
CREATE TABLE ledger_entries (
    posting TEXT NOT NULL,
    account_id TEXT NOT NULL,
    period BIGINT NOT NULL,
    book TEXT NOT NULL,
    -- page, allowance, grant, refund
    cause TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    credits BIGINT NOT NULL,
    nanos BIGINT NOT NULL,
    PRIMARY KEY (posting, account_id, period, book)
);

CREATE INDEX ledger_entries_account ON ledger_entries (account_id, period);

-- Sums of the entries, so that nobody has to add them up to answer a request.
CREATE TABLE balances (
    account_id TEXT NOT NULL,
    -- A calendar month in UTC: 202604.
    period BIGINT NOT NULL,
    -- What the plan gives for the period; NULL = as much as it takes.
    allowance BIGINT,
    granted BIGINT NOT NULL,
    used BIGINT NOT NULL,
    nanos BIGINT NOT NULL,
    PRIMARY KEY (account_id, period)
);

-- What reports are made of.
CREATE TABLE usage_minutes (
    account_id TEXT NOT NULL,
    minute_ms BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    tier TEXT NOT NULL,
    requests BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    thought_tokens BIGINT NOT NULL,
    images BIGINT NOT NULL,
    credits BIGINT NOT NULL,
    nanos BIGINT NOT NULL,
    latency_ms BIGINT NOT NULL,
    first_byte_ms BIGINT NOT NULL,
    PRIMARY KEY (account_id, minute_ms, key_id, model, provider, tier)
);

CREATE INDEX usage_minutes_key ON usage_minutes (key_id, minute_ms);

-- Credits given beyond the plan's, and given back.
CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    period BIGINT NOT NULL,
    credits BIGINT NOT NULL,
    -- The request that is refunded, if any.
    request_id TEXT UNIQUE,
    reason TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE INDEX grants_account ON grants (account_id);

-- Overrides and rights, as JSON; NULL = the plan's.
ALTER TABLE accounts ADD COLUMN limits TEXT;
ALTER TABLE api_keys ADD COLUMN terms TEXT;

CREATE TABLE members (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    email TEXT NOT NULL,
    -- owner, member, billing
    role TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    UNIQUE (account_id, email)
);

-- Plans that an administrator made or changed; they come before the configuration's.
CREATE TABLE plans (
    name TEXT PRIMARY KEY,
    -- JSON
    terms TEXT NOT NULL
);

-- What administrators did.
CREATE TABLE audit_log (
    id TEXT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    -- JSON
    detail TEXT NOT NULL
);

-- Answers that are given again when a request comes again under its Idempotency-Key.
CREATE TABLE replays (
    account_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    -- SHA-256 of the request, in hex.
    request_hash TEXT NOT NULL,
    -- NULL while the first is under way: its head as JSON, its body in base64.
    head TEXT,
    body TEXT,
    expires_ms BIGINT NOT NULL,
    PRIMARY KEY (account_id, idempotency_key)
);

CREATE INDEX replays_expiry ON replays (expires_ms);
