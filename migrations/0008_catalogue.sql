-- Documents that changed the catalogue, and which one holds.
CREATE TABLE catalogue_revisions (
    id BIGINT PRIMARY KEY,
    created_ms BIGINT NOT NULL,
    -- Of the document as it was read, in hexadecimal.
    sha256 TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- Packed.
    body TEXT NOT NULL
);

-- One row; revision 0 is the files that the binary was built with.
CREATE TABLE catalogue_active (
    place BIGINT PRIMARY KEY,
    revision_id BIGINT NOT NULL
);
INSERT INTO catalogue_active (place, revision_id) VALUES (1, 0);
