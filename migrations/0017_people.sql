-- A person signs in; a member is a person in an account, and keeps its id. One person may be in several
-- accounts, and is here for as long as they are in one.
CREATE TABLE people (
    -- Of whoever was a member before there were people: the member's id, for which their second factor
    -- is sealed.
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    -- '' = they gave none.
    name TEXT NOT NULL,
    -- An Argon2 hash, in its own notation.
    password TEXT NOT NULL,
    -- When they proved that the address is theirs; NULL = not yet.
    verified_ms BIGINT,
    -- A second factor: the secret of time-based codes (RFC 6238), sealed; NULL = none. The draft is one
    -- that its owner is yet to confirm. The step is that of the last code, which is good once.
    totp TEXT,
    totp_draft TEXT,
    totp_step BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);

-- NULL = somebody who cannot sign in.
ALTER TABLE members ADD COLUMN person_id TEXT REFERENCES people (id);
INSERT INTO people (id, email, name, password, verified_ms, totp, totp_draft, totp_step, created_ms)
SELECT id, email, '', password, verified_ms, totp, totp_draft, totp_step, created_ms
FROM members WHERE password IS NOT NULL;
UPDATE members SET person_id = id WHERE password IS NOT NULL;
CREATE UNIQUE INDEX members_person ON members (person_id, account_id);

DROP INDEX members_signin;
ALTER TABLE members DROP COLUMN password;
ALTER TABLE members DROP COLUMN verified_ms;
ALTER TABLE members DROP COLUMN totp;
ALTER TABLE members DROP COLUMN totp_draft;
ALTER TABLE members DROP COLUMN totp_step;

ALTER TABLE recovery_codes RENAME COLUMN member_id TO person_id;
DROP INDEX identities_member;
ALTER TABLE identities RENAME COLUMN member_id TO person_id;
ALTER TABLE identities DROP COLUMN account_id;
CREATE INDEX identities_person ON identities (person_id);
