-- Chats and answers from before there were users are their account's.
UPDATE conversations SET user_id = account_id WHERE user_id = '';
UPDATE conversations SET updated_ms = created_ms WHERE updated_ms = 0;
UPDATE responses SET user_id = account_id WHERE user_id = '';
