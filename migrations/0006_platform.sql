-- Sign-in. A member without a password cannot.
ALTER TABLE members ADD COLUMN password TEXT;
-- What the books call a member, so that nothing of the person is left in them.
ALTER TABLE members ADD COLUMN key_id TEXT;
-- The member who made a key, and whom it speaks for; NULL = the account as a whole.
ALTER TABLE api_keys ADD COLUMN member_id TEXT;

-- An address signs in to one account.
CREATE UNIQUE INDEX members_signin ON members (email) WHERE password IS NOT NULL;

-- One sign-in, with all refresh tokens that came of it.
CREATE TABLE signins (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    member_id TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE INDEX signins_member ON signins (member_id);

-- SHA-256 in hex. A token that comes a second time has been stolen from somebody.
CREATE TABLE refresh_tokens (
    hash TEXT PRIMARY KEY,
    signin_id TEXT NOT NULL,
    used BIGINT NOT NULL
);

CREATE INDEX refresh_tokens_signin ON refresh_tokens (signin_id);

-- What access tokens are signed with (Ed25519), sealed where there is a key to seal with.
CREATE TABLE signing_keys (
    id TEXT PRIMARY KEY,
    created_ms BIGINT NOT NULL,
    document TEXT NOT NULL
);

-- Switches, where they differ from the plan's: of an account (user_id = ''), or of one user.
CREATE TABLE features (
    account_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    feature TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    -- JSON
    settings TEXT NOT NULL,
    changed_ms BIGINT NOT NULL,
    PRIMARY KEY (account_id, user_id, feature)
);

-- Saved chats: a conversation with a title, of one user.
ALTER TABLE conversations ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
ALTER TABLE conversations ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE conversations ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE conversations ADD COLUMN updated_ms BIGINT NOT NULL DEFAULT 0;

-- What an item says, in lower case, for those who look for words.
ALTER TABLE conversation_items ADD COLUMN words TEXT NOT NULL DEFAULT '';

CREATE INDEX conversations_user ON conversations (account_id, user_id, updated_ms);

-- Whose an answer is; '' = from before there were users.
ALTER TABLE responses ADD COLUMN user_id TEXT NOT NULL DEFAULT '';

-- What is remembered of a user.
CREATE TABLE memories (
    account_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    -- Counts up within a user.
    place BIGINT NOT NULL,
    body TEXT NOT NULL,
    -- A JSON list of words.
    tags TEXT NOT NULL,
    -- JSON, as it was given.
    metadata TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    -- Which model made the vector, and its numbers as bytes in base64.
    embedded_by TEXT NOT NULL,
    embedding TEXT NOT NULL,
    PRIMARY KEY (account_id, user_id, id)
);

CREATE UNIQUE INDEX memories_place ON memories (account_id, user_id, place);
CREATE INDEX memories_expiry ON memories (expires_ms);

-- Moves whenever something of a user is forgotten, so that indexes in memory are made anew.
CREATE TABLE memory_users (
    account_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    last_place BIGINT NOT NULL,
    forgotten BIGINT NOT NULL,
    PRIMARY KEY (account_id, user_id)
);

-- A relation that a memory states, and where it says so. relation = '' is a mere mention.
CREATE TABLE memory_relations (
    account_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    memory_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    subject TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    relation TEXT NOT NULL,
    object TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    PRIMARY KEY (account_id, user_id, memory_id, number)
);

CREATE TABLE agents (
    account_id TEXT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    -- JSON
    definition TEXT NOT NULL,
    PRIMARY KEY (account_id, id)
);

-- Credentials that a user lends to an app, sealed.
CREATE TABLE connections (
    account_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    app TEXT NOT NULL,
    name TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    -- A JSON list of tools; 'null' = all.
    tools TEXT NOT NULL,
    -- Sealed JSON.
    credentials TEXT NOT NULL,
    PRIMARY KEY (account_id, id)
);

-- What actions and agents did, for those who watch.
CREATE TABLE connect_events (
    account_id TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,
    -- JSON
    body TEXT NOT NULL,
    PRIMARY KEY (account_id, id)
);

CREATE INDEX connect_events_age ON connect_events (at_ms);

-- What was asked and answered, where an account wishes it kept.
CREATE TABLE contents (
    account_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (account_id, request_id)
);

CREATE INDEX contents_age ON contents (at_ms);

-- The processes that share this store, as far as they were heard of lately.
CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    version TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL
);
