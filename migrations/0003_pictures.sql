-- Pictures that came as bytes and were asked for as addresses. The id cannot be guessed.
CREATE TABLE pictures (
    id TEXT PRIMARY KEY,
    mime TEXT NOT NULL,
    -- Base64
    data TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE INDEX pictures_expiry ON pictures (expires_ms);
