//! Operations: the gateway, for administrators.

use super::operation::{CHANGE, Operation, delete, get, of, patch, post, put};
use crate::administration::AccountChange;
use crate::administration::revisions::ShownRevision;
use crate::admit::{KeyTerms, PlanEntry};
use crate::base::told::{Deleted, List};
use crate::catalogue::settings::{PricesEntry, RouteEntry};
use crate::catalogue::{ModelEntry, ProviderEntry};
use crate::http::admin::{accounts, corrections, keys, mail, money, revisions};
use crate::http::keys as own_keys;
use crate::ledger::verify::Proof as BooksProof;
use crate::reports::corrections::CorrectionList;
use crate::reports::status::{HealthView, StatusView};

pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/admin/status", "Admin", "How the gateway is").answering(of::<StatusView>),
    get("/v1/admin/health", "Admin", "Alive and ready, with each dependency")
        .answering(of::<HealthView>),
    get("/v1/admin/accounts", "Admin", "All accounts")
        .answering(of::<List<accounts::ShownAccount>>),
    post("/v1/admin/accounts", "Admin", "Open an account")
        .told(of::<accounts::NewAccount>)
        .answering(of::<accounts::ShownAccount>),
    get("/v1/admin/accounts/{id}", "Admin", "An account, by id or name")
        .answering(of::<accounts::ShownAccount>),
    patch("/v1/admin/accounts/{id}", "Admin", "Change an account")
        .told(of::<AccountChange>)
        .answering(of::<accounts::ShownAccount>),
    delete(
        "/v1/admin/accounts/{id}",
        "Admin",
        "Delete an account for good, with all that its users keep",
    )
    .answering(of::<Deleted>),
    post("/v1/admin/accounts/{id}/suspend", "Admin", "Take an account's access")
        .answering(of::<accounts::ShownAccount>),
    post("/v1/admin/accounts/{id}/resume", "Admin", "Give it back")
        .answering(of::<accounts::ShownAccount>),
    get("/v1/admin/accounts/{id}/members", "Admin", "The people of an account")
        .answering(of::<List<accounts::ShownMember>>),
    post("/v1/admin/accounts/{id}/members", "Admin", "Add a person")
        .told(of::<accounts::NewMember>)
        .answering(of::<accounts::ShownMember>),
    delete(
        "/v1/admin/accounts/{id}/members/{member}",
        "Admin",
        "Forget a person, with all that they keep",
    )
    .answering(of::<Deleted>),
    get("/v1/admin/accounts/{id}/credits", "Admin", "Credits given and given back")
        .answering(of::<List<money::ShownGrant>>),
    post("/v1/admin/accounts/{id}/credits", "Admin", "Give credits")
        .told(of::<money::NewGrant>)
        .answering(of::<money::Granted>),
    post("/v1/admin/refunds", "Admin", "Give a request's credits back")
        .told(of::<money::NewRefund>)
        .answering(of::<money::Refunded>),
    get("/v1/admin/keys", "Admin", "API keys of all accounts")
        .asking(&[("account", "string")])
        .answering(of::<List<own_keys::ShownKey>>),
    post("/v1/admin/keys", "Admin", "Make an API key for an account")
        .told(of::<keys::NewKey>)
        .answering(of::<own_keys::IssuedKey>),
    get("/v1/admin/keys/{id}", "Admin", "An API key").answering(of::<own_keys::ShownKey>),
    patch("/v1/admin/keys/{id}", "Admin", "Give a key other terms")
        .told(of::<KeyTerms>)
        .answering(of::<own_keys::ShownKey>),
    delete("/v1/admin/keys/{id}", "Admin", "Revoke an API key").answering(of::<Deleted>),
    post("/v1/admin/keys/{id}/rotate", "Admin", "A new key in the place of an old one")
        .told(of::<keys::Rotation>)
        .answering(of::<own_keys::IssuedKey>),
    delete(
        "/v1/admin/accounts/{id}/members/{member}/totp",
        "Admin",
        "Take a lost second factor away",
    )
    .answering(of::<Deleted>),
    get("/v1/admin/plans", "Admin", "Plans").answering(of::<List<money::ShownPlan>>),
    put("/v1/admin/plans/{name}", "Admin", "Make or change a plan, as a revision")
        .told(of::<PlanEntry>)
        .asking(CHANGE)
        .answering(of::<money::PlanChanged>),
    delete("/v1/admin/plans/{name}", "Admin", "Take back what was said of a plan")
        .asking(CHANGE)
        .answering(of::<money::PlanChanged>),
    get("/v1/admin/providers", "Admin", "What is said of providers, over the configuration")
        .answering(of::<revisions::Settings>),
    get("/v1/admin/providers/{name}", "Admin", "What is said of one provider")
        .answering(of::<revisions::ShownSetting>),
    put("/v1/admin/providers/{name}", "Admin", "Say it of a provider, as a revision")
        .told(of::<ProviderEntry>)
        .asking(CHANGE)
        .answering(of::<revisions::SettingChanged>),
    delete("/v1/admin/providers/{name}", "Admin", "Take back what was said of a provider")
        .asking(CHANGE)
        .answering(of::<revisions::SettingChanged>),
    get("/v1/admin/models", "Admin", "What is said of models, over the configuration")
        .answering(of::<revisions::Settings>),
    get("/v1/admin/models/{name}", "Admin", "What is said of one model")
        .answering(of::<revisions::ShownSetting>),
    put("/v1/admin/models/{name}", "Admin", "Say it of a model, as a revision")
        .told(of::<ModelEntry>)
        .asking(CHANGE)
        .answering(of::<revisions::SettingChanged>),
    delete("/v1/admin/models/{name}", "Admin", "Take back what was said of a model")
        .asking(CHANGE)
        .answering(of::<revisions::SettingChanged>),
    get(
        "/v1/admin/routes",
        "Admin",
        "What is said of routes: who is asked when a model cannot answer, over the configuration",
    )
    .answering(of::<revisions::Settings>),
    get("/v1/admin/routes/{name}", "Admin", "What is said of one route")
        .answering(of::<revisions::ShownSetting>),
    put("/v1/admin/routes/{name}", "Admin", "Say it of a route, as a revision")
        .told(of::<RouteEntry>)
        .asking(CHANGE)
        .answering(of::<revisions::SettingChanged>),
    delete("/v1/admin/routes/{name}", "Admin", "Take back what was said of a route")
        .asking(CHANGE)
        .answering(of::<revisions::SettingChanged>),
    get(
        "/v1/admin/prices",
        "Admin",
        "What is said of prices, by provider/model, over the configuration",
    )
    .answering(of::<revisions::Settings>),
    get("/v1/admin/prices/{name}", "Admin", "What is said of one price")
        .answering(of::<revisions::ShownSetting>),
    put("/v1/admin/prices/{name}", "Admin", "Say it of a price, as a revision")
        .told(of::<PricesEntry>)
        .asking(CHANGE)
        .answering(of::<revisions::SettingChanged>),
    delete("/v1/admin/prices/{name}", "Admin", "Take back what was said of a price")
        .asking(CHANGE)
        .answering(of::<revisions::SettingChanged>),
    get("/v1/admin/revisions", "Admin", "Revisions, newest first")
        .answering(of::<List<ShownRevision>>),
    post("/v1/admin/revisions/{id}/restore", "Admin", "Let an earlier revision hold again")
        .asking(CHANGE)
        .answering(of::<revisions::Restored>),
    get(
        "/v1/admin/corrections",
        "Admin",
        "What `auto` has learned of models: the corrections in force, and why",
    )
    .asking(&[("account", "string"), ("model", "string")])
    .answering(of::<CorrectionList>),
    delete("/v1/admin/corrections", "Admin", "Forget what `auto` has learned")
        .asking(&[("account", "string"), ("model", "string")])
        .answering(of::<corrections::Forgotten>),
    get("/v1/admin/audit", "Admin", "What administrators did, newest first")
        .asking(&[("before", "string"), ("limit", "integer")])
        .answering(of::<List<money::AuditEvent>>),
    get("/v1/admin/outbox", "Admin", "Mail that waits, was sent, or was given up")
        .asking(&[("state", "string"), ("before", "string"), ("limit", "integer")])
        .answering(of::<List<mail::ShownMail>>),
    post("/v1/admin/outbox/{id}/retry", "Admin", "Have a mail tried again")
        .answering(of::<mail::RetriedMail>),
    post("/v1/admin/mail/test", "Admin", "Send a test, now")
        .told(of::<mail::Test>)
        .answering(of::<mail::TestedMail>),
    get("/v1/admin/ledger/verify", "Admin", "The proof that the books add up")
        .answering(of::<BooksProof>),
];
