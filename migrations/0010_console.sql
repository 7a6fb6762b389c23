-- A sign-in of a browser is a cookie, known by its SHA-256 in hex; NULL = one of tokens.
ALTER TABLE signins ADD COLUMN cookie_hash TEXT;
ALTER TABLE signins ADD COLUMN seen_ms BIGINT NOT NULL DEFAULT 0;
-- When its person last proved who they are, by their password.
ALTER TABLE signins ADD COLUMN proved_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE signins ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE signins ADD COLUMN agent TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX signins_cookie ON signins (cookie_hash);

-- Forms that were sent: a second time they do nothing. result is where the first one led.
CREATE TABLE form_once (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    result TEXT,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX form_once_expiry ON form_once (expires_ms);

-- Links and codes that are good for one use, by their SHA-256 in hex.
CREATE TABLE tokens (
    hash TEXT PRIMARY KEY,
    -- setup, reset, invitation
    kind TEXT NOT NULL,
    account_id TEXT NOT NULL,
    -- Whom it is for: a member's id or an address.
    subject TEXT NOT NULL,
    -- JSON
    payload TEXT NOT NULL,
    expires_ms BIGINT NOT NULL,
    used_ms BIGINT
);
CREATE INDEX tokens_account ON tokens (account_id, kind);
CREATE INDEX tokens_expiry ON tokens (expires_ms);

-- The requests of an account, a page of the journal in a row, short: lists are made of them.
CREATE TABLE request_heads (
    account_id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    segment TEXT NOT NULL,
    first_line BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    -- Packed; a line for each request.
    body TEXT NOT NULL,
    PRIMARY KEY (account_id, at_ms, segment, first_line)
);

-- Sums of longer stretches, for reports over weeks and months.
CREATE TABLE usage_hours (
    account_id TEXT NOT NULL,
    hour_ms BIGINT NOT NULL,
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
    PRIMARY KEY (account_id, hour_ms, key_id, model, provider, tier)
);
CREATE TABLE usage_days (
    account_id TEXT NOT NULL,
    day_ms BIGINT NOT NULL,
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
    PRIMARY KEY (account_id, day_ms, key_id, model, provider, tier)
);
INSERT INTO usage_hours
SELECT account_id, minute_ms - minute_ms % 3600000, key_id, model, provider, tier,
    SUM(requests), SUM(failures), SUM(estimated), SUM(input_tokens), SUM(cache_read_tokens),
    SUM(cache_write_tokens), SUM(output_tokens), SUM(thought_tokens), SUM(images), SUM(credits),
    SUM(nanos), SUM(latency_ms), SUM(first_byte_ms)
FROM usage_minutes
GROUP BY account_id, minute_ms - minute_ms % 3600000, key_id, model, provider, tier;
INSERT INTO usage_days
SELECT account_id, hour_ms - hour_ms % 86400000, key_id, model, provider, tier,
    SUM(requests), SUM(failures), SUM(estimated), SUM(input_tokens), SUM(cache_read_tokens),
    SUM(cache_write_tokens), SUM(output_tokens), SUM(thought_tokens), SUM(images), SUM(credits),
    SUM(nanos), SUM(latency_ms), SUM(first_byte_ms)
FROM usage_hours
GROUP BY account_id, hour_ms - hour_ms % 86400000, key_id, model, provider, tier;
