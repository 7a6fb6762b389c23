//! The console: pages for people. Each page calls what the interface calls, and shows what it answers;
//! it is made here, on the server, and works without a script. The route table is here, on one screen.

mod admin;
mod agents;
mod assets;
mod call;
mod chart;
mod connect;
mod cookie;
mod docs;
mod factor;
mod features;
mod figures;
mod form;
mod invite;
mod key;
mod keys;
mod landing;
mod leaving;
mod memory;
mod models;
mod oidc;
mod overview;
mod parts;
mod path;
mod playground;
mod qr;
mod recover;
mod request;
mod requests;
mod samples;
mod serve;
mod settings;
mod setup;
mod sheet;
mod shell;
mod signin;
mod signup;
mod switching;
mod team;
mod usage;
mod visit;
mod welcome;

use actix_web::web::{self, ServiceConfig, get, post};

use admin::{account, accounts, outbox, plans, refunds, watch};

/// Every route of people, and what becomes of paths that are nowhere.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/", get().to(landing::landing))
        .route("/status", get().to(landing::state))
        .route("/docs", get().to(docs::docs))
        .route("/assets/{name}", get().to(assets::asset))
        .route("/favicon.ico", get().to(assets::icon))
        .route("/setup", get().to(setup::ask))
        .route("/setup", post().to(setup::make))
        .route("/signup", get().to(signup::ask))
        .route("/signup", post().to(signup::create))
        .route("/signup/code", get().to(signup::again))
        .route("/signup/code", post().to(signup::confirm))
        .route("/signup/code/again", post().to(signup::send_again))
        .route("/welcome", get().to(welcome::again))
        .route("/signin", get().to(signin::ask))
        .route("/signin", post().to(signin::enter))
        .route("/signin/code", get().to(signin::again))
        .route("/signin/code", post().to(signin::code))
        .route("/oidc/{id}/start", get().to(oidc::start))
        .route("/oidc/{id}/callback", get().to(oidc::callback))
        .route("/signout", post().to(signin::leave))
        .route("/forgot", get().to(recover::forgot))
        .route("/forgot", post().to(recover::mail))
        .route("/reset/{token}", get().to(recover::reset))
        .route("/reset/{token}", post().to(recover::set))
        .route("/verify/{token}", get().to(recover::verifying))
        .route("/verify/{token}", post().to(recover::verify))
        .route("/invite/{token}", get().to(invite::ask))
        .route("/invite/{token}", post().to(invite::accept))
        .route("/invite/{token}/decline", post().to(invite::decline))
        .route("/console", get().to(overview::overview))
        .route("/console/first", get().to(overview::first))
        .route("/console/account", post().to(switching::switch))
        .route("/console/keys", get().to(keys::list))
        .route("/console/keys/new", get().to(key::ask))
        .route("/console/keys/new", post().to(key::create))
        .route("/console/keys/{id}", get().to(key::show))
        .route("/console/keys/{id}", post().to(key::change))
        .route("/console/keys/{id}/rotate", get().to(keys::ask_rotate))
        .route("/console/keys/{id}/rotate", post().to(keys::rotate))
        .route("/console/keys/{id}/revoke", get().to(keys::ask_revoke))
        .route("/console/keys/{id}/revoke", post().to(keys::revoke))
        .route("/console/usage", get().to(usage::usage))
        .route("/console/requests", get().to(requests::requests))
        .route("/console/requests/{id}", get().to(request::request))
        .route("/console/requests/{id}/feedback", post().to(request::judge))
        .route("/console/playground", get().to(playground::ask))
        .route("/console/playground", post().to(playground::send))
        .route("/console/playground/run", post().to(playground::run))
        .route("/console/playground/requests/{id}", get().to(playground::came_to))
        .route("/console/models", get().to(models::models))
        .route("/console/models/{id:.*}", get().to(models::model))
        .route("/console/features", get().to(features::features))
        .route("/console/features/{feature}", post().to(features::set))
        .route("/console/memory", get().to(memory::memories))
        .route("/console/memory", post().to(memory::remember))
        .route("/console/memory/forget", post().to(memory::forget))
        .route("/console/memory/{id}/forget", post().to(memory::forget_one))
        .route("/console/agents", get().to(agents::agents))
        .route("/console/agents/new", get().to(agents::ask))
        .route("/console/agents/new", post().to(agents::create))
        .route("/console/agents/{id}", get().to(agents::agent))
        .route("/console/agents/{id}", post().to(agents::change))
        .route("/console/agents/{id}/delete", get().to(agents::ask_delete))
        .route("/console/agents/{id}/delete", post().to(agents::delete))
        .route("/console/connect", get().to(connect::apps))
        .route("/console/connect/{app}", post().to(connect::connect))
        .route("/console/connect/accounts/{id}/disconnect", post().to(connect::disconnect))
        .route("/console/team", get().to(team::team))
        .route("/console/team/invitations", post().to(team::invite))
        .route("/console/team/invitations/{id}", post().to(team::withdraw))
        .route("/console/team/invitations/{id}/resend", post().to(team::invite_again))
        .route("/console/team/{id}", get().to(team::member))
        .route("/console/team/{id}/role", post().to(team::change_role))
        .route("/console/team/{id}/factor", post().to(team::reset_factor))
        .route("/console/team/{id}/remove", post().to(team::remove))
        .route("/console/settings", get().to(settings::settings))
        .route("/console/settings/password", post().to(settings::password))
        .route("/console/settings/factor", post().to(factor::begin))
        .route("/console/settings/factor/confirm", post().to(factor::confirm))
        .route("/console/settings/factor/off", post().to(factor::off))
        .route("/console/settings/verify", post().to(settings::verify))
        .route("/console/settings/name", post().to(settings::rename))
        .route("/console/settings/me", post().to(settings::name))
        .route("/console/settings/email", post().to(settings::move_to))
        .route("/console/settings/leave", post().to(leaving::leave))
        .route("/console/settings/delete", post().to(leaving::delete))
        .route("/console/settings/sessions", post().to(settings::end_others))
        .route("/console/settings/sessions/{id}", post().to(settings::end))
        .route("/admin", get().to(admin::overview))
        .route("/admin/accounts", get().to(accounts::list))
        .route("/admin/accounts", post().to(accounts::open))
        .route("/admin/accounts/{id}", get().to(account::show))
        .route("/admin/accounts/{id}/plan", post().to(account::plan))
        .route("/admin/accounts/{id}/access", post().to(account::access))
        .route("/admin/accounts/{id}/credits", post().to(account::credits))
        .route("/admin/accounts/{id}/reset", post().to(account::reset))
        .route("/admin/accounts/{id}/factor", post().to(account::reset_factor))
        .route("/admin/accounts/{id}/erase", post().to(account::erase))
        .route("/admin/refunds", get().to(refunds::ask))
        .route("/admin/refunds", post().to(refunds::refund))
        .route("/admin/plans", get().to(plans::plans))
        .route("/admin/plans", post().to(plans::change))
        .route("/admin/providers", get().to(watch::providers))
        .route("/admin/nodes", get().to(watch::nodes))
        .route("/admin/audit", get().to(watch::audit))
        .route("/admin/outbox", get().to(outbox::outbox))
        .route("/admin/outbox", post().to(outbox::test))
        .route("/admin/outbox/{id}/retry", post().to(outbox::retry));
    for old in
        ["/login", "/register", "/settings/api-keys", "/keys", "/playground", "/dashboard", "/ui"]
    {
        config.route(old, get().to(landing::leads_on));
    }
    config.default_service(web::to(landing::nowhere));
}
