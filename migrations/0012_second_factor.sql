-- A second factor: the secret of time-based codes (RFC 6238), sealed; NULL = none. The draft is one
-- that its owner is yet to confirm. The step is that of the last code, which is good once.
ALTER TABLE members ADD COLUMN totp TEXT;
ALTER TABLE members ADD COLUMN totp_draft TEXT;
ALTER TABLE members ADD COLUMN totp_step BIGINT NOT NULL DEFAULT 0;

-- For whoever has lost it: codes that are good once, by their SHA-256 in hex.
CREATE TABLE recovery_codes (
    member_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    used_ms BIGINT,
    PRIMARY KEY (member_id, hash)
);

-- Whom issuers of OpenID Connect know members as.
CREATE TABLE identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    account_id TEXT NOT NULL,
    member_id TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_member ON identities (member_id);
