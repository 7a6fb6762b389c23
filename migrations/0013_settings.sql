-- What administrators have said of providers, models, routes and prices, beside the document of the
-- catalogue: a revision holds both. JSON, packed; NULL for nothing. `body` is empty where a revision
-- has no document.
ALTER TABLE catalogue_revisions ADD COLUMN settings TEXT;
