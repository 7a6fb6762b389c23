-- The first of the keys that were put in each other's place: they share what they are held to.
-- NULL = the key itself.
ALTER TABLE api_keys ADD COLUMN family TEXT;
CREATE INDEX api_keys_family ON api_keys (family);

-- Whose keys, members, plan or switches changed at a revision of 'identity', so that nodes forget what
-- they know of that account and of no other. account_id = '' is everybody. The last ones are kept.
CREATE TABLE identity_changes (
    revision BIGINT PRIMARY KEY,
    account_id TEXT NOT NULL
);

-- The request that is under way, so that what a lost one was charged can be given back.
ALTER TABLE replays ADD COLUMN request_id TEXT NOT NULL DEFAULT '';

-- Who made an agent; the account's id = everybody's of the account.
ALTER TABLE agents ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
UPDATE agents SET user_id = account_id;

-- What is good for one use and was used: the states of authorizations.
CREATE TABLE spent (
    name TEXT PRIMARY KEY,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX spent_expiry ON spent (expires_ms);
