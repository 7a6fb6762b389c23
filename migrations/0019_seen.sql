-- When a member was last signed in or last came with a session; 0 = not yet. It stays when they sign out.
ALTER TABLE members ADD COLUMN seen_ms BIGINT NOT NULL DEFAULT 0;
UPDATE members SET seen_ms = COALESCE((
    SELECT MAX(CASE WHEN s.seen_ms > s.created_ms THEN s.seen_ms ELSE s.created_ms END)
    FROM signins s WHERE s.member_id = members.id
), 0);
