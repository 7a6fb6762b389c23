//! Operations: what people and their programs do to be let in, their keys and their accounts.

use super::operation::{Operation, delete, get, of, patch, post};
use crate::admit::KeySet;
use crate::base::told::{Deleted, DeletedSome, List, Page};
use crate::http::{account, browser_keys, keys, me, signin};
use crate::reports::standing::{AccountStanding, ShownBound};
use crate::stored::browser_keys::BrowserKeyRequest as NewBrowserKey;
use crate::stored::person::{Me, ShownSignIn};
use crate::stored::team::{ShownInvitation, ShownMember};

pub(super) const OPERATIONS: &[Operation] = &[
    post("/api/auth/login", "Sign-in", "Obtain an access token").told(of::<signin::Credentials>).answering(of::<signin::ShownSession>),
    post("/api/auth/register", "Sign-in", "Open an account, where that is allowed; 202 where a code is mailed first").told(of::<signin::NewAccount>).answering(of::<signin::ShownRegistered>).accepting(of::<signin::Status>),
    post("/api/auth/verify", "Sign-in", "Open it, by the code").told(of::<signin::Code>).answering(of::<signin::ShownRegistered>),
    post("/api/auth/verify/resend", "Sign-in", "Another code").told(of::<signin::Address>).accepting(of::<signin::Status>),
    get("/api/auth/providers", "Sign-in", "Who else lets people in").answering(of::<List<signin::ShownIssuer>>),
    post("/api/auth/forgot", "Sign-in", "Have a link mailed that sets a password; the same answer for every address").told(of::<signin::Address>).accepting(of::<signin::Status>),
    post("/api/auth/reset", "Sign-in", "Set a password, by the link").told(of::<signin::NewPassword>).answering(of::<signin::PasswordReset>),
    get("/api/auth/invitations/{token}", "Sign-in", "Who invites, to what").answering(of::<signin::SeenInvitation>),
    post("/api/auth/invitations/{token}", "Sign-in", "Accept an invitation").told(of::<signin::Acceptance>).answering(of::<signin::ShownSession>),
    post("/api/auth/invitations/{token}/decline", "Sign-in", "Decline an invitation").answering(of::<signin::Declined>),
    post("/api/auth/refresh", "Sign-in", "A new pair of tokens for a refresh token").told(of::<signin::RefreshToken>).answering(of::<signin::ShownSession>),
    post("/api/auth/logout", "Sign-in", "End a session").told(of::<signin::Logout>).answering(of::<signin::SignedOut>),
    get("/.well-known/jwks.json", "Sign-in", "The keys that access tokens are signed with").answering(of::<KeySet>),
    get("/v1/keys", "Keys", "One's API keys").answering(of::<List<keys::ShownOwnKey>>),
    post("/v1/keys", "Keys", "Make an API key, which is shown once").told(of::<keys::NewKey>).answering(of::<keys::IssuedKey>),
    post("/v1/keys/browser", "Keys", "Lend a key to a browser, for an hour at most").told(of::<NewBrowserKey>).answering(of::<browser_keys::BrowserKey>),
    get("/v1/keys/{id}", "Keys", "An API key, without its secret").answering(of::<keys::ShownOwnKey>),
    patch("/v1/keys/{id}", "Keys", "Change an API key: null takes a term away").told(of::<keys::KeyChange>).answering(of::<keys::ShownOwnKey>),
    delete("/v1/keys/{id}", "Keys", "Revoke an API key").answering(of::<Deleted>),
    post("/v1/keys/{id}/rotate", "Keys", "A new key in the place of an old one").asking(&[("overlap_seconds", "integer")]).answering(of::<keys::IssuedKey>),
    get("/v1/me", "Account", "The person who is signed in, and their accounts").answering(of::<Me>),
    patch("/v1/me", "Account", "Give oneself another name").told(of::<me::Name>).answering(of::<Me>),
    delete("/v1/me", "Account", "Delete oneself for good, in every account; needs a proof").answering(of::<Deleted>),
    post("/v1/me/email", "Account", "Another address, once its link was followed (202); needs a proof. The one that one has: a link that confirms it").told(of::<me::Address>).answering(of::<signin::Status>).accepting(of::<signin::Status>),
    post("/v1/me/email/confirm", "Account", "Confirm it, by the link").told(of::<me::Token>).answering(of::<Me>),
    post("/v1/me/password", "Account", "Another password; all else that one is signed in with ends").told(of::<me::Passwords>).answering(of::<signin::ShownSession>),
    post("/v1/me/prove", "Account", "Say the password again, before what cannot be undone").told(of::<me::Proof>).answering(of::<me::Proved>),
    post("/v1/me/account", "Account", "A session in another of one's accounts").told(of::<me::Account>).answering(of::<signin::ShownSession>),
    get("/v1/me/sessions", "Account", "What one is signed in with, newest first").answering(of::<Page<ShownSignIn>>),
    delete("/v1/me/sessions", "Account", "End all of it but this").answering(of::<DeletedSome>),
    delete("/v1/me/sessions/{id}", "Account", "End one of it").answering(of::<Deleted>),
    post("/v1/me/totp", "Account", "A secret for an app that shows codes").told(of::<me::Password>).answering(of::<me::FactorDraft>),
    post("/v1/me/totp/confirm", "Account", "Switch the second factor on; recovery codes, shown once").told(of::<me::Code>).answering(of::<me::FactorOn>),
    delete("/v1/me/totp", "Account", "Switch the second factor off").told(of::<me::FullProof>).answering(of::<me::FactorOff>),
    get("/v1/account", "Account", "The account, its plan and its credits").answering(of::<AccountStanding>),
    patch("/v1/account", "Account", "Give the account another name").told(of::<account::Name>).answering(of::<AccountStanding>),
    delete("/v1/account", "Account", "Delete the account for good, by its name; needs a proof").told(of::<account::Name>).answering(of::<Deleted>),
    get("/v1/account/members", "Account", "Who is in the account").answering(of::<Page<ShownMember>>),
    patch("/v1/account/members/{id}", "Account", "Give a member another role").told(of::<account::Role>).answering(of::<account::MemberRole>),
    delete("/v1/account/members/{id}", "Account", "Remove a member; needs a proof").answering(of::<Deleted>),
    get("/v1/account/invitations", "Account", "Who is invited").answering(of::<Page<ShownInvitation>>),
    post("/v1/account/invitations", "Account", "Invite an address; its link is told once").told(of::<account::NewInvitation>).answering(of::<account::LinkedInvitation>),
    post("/v1/account/invitations/{id}/resend", "Account", "Another link; the one before ends").answering(of::<account::LinkedInvitation>),
    delete("/v1/account/invitations/{id}", "Account", "Withdraw an invitation").answering(of::<Deleted>),
    get("/v1/limits", "Account", "Where the caller stands with every limit").answering(of::<List<ShownBound>>),
];
