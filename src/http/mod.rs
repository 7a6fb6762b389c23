//! HTTP in: routes, arrival and answer. The route table is here, on one screen.

mod account;
mod admin;
mod anthropic;
mod array;
mod arrival;
mod browser_keys;
mod edge;
mod frames;
mod gemini;
mod generate;
mod keys;
mod me;
mod media;
mod models;
mod once;
mod openai;
pub mod openapi;
mod ops;
pub mod origin;
mod platform;
mod realtime;
mod respond;
mod responses;
mod signin;
mod streams;
mod usage;
mod visit;
mod worker;

use actix_web::web::{self, ServiceConfig};

pub use edge::{connection, cors, head_as_get};
pub use openai::nowhere;
pub use streams::{Http2Seen, Streams};
pub use usage::quoted;
pub use worker::Worker;

/// Every route of programs. Each path also answers under `/api`; whoever adds the last ones says what
/// becomes of those that are nowhere.
pub fn routes(config: &mut ServiceConfig) {
    config
        .app_data(
            web::QueryConfig::default()
                .error_handler(|why, request| respond::unreadable(request, &why)),
        )
        .app_data(
            web::PathConfig::default()
                .error_handler(|why, request| respond::unreadable(request, &why)),
        );
    for prefix in ["/v1", "/api/v1"] {
        let at = |path: &str| format!("{prefix}{path}");
        config
            // Called by the OpenAI SDK.
            .route(&at("/chat/completions"), web::post().to(openai::chat))
            .route(&at("/responses"), web::post().to(responses::create))
            .route(&at("/responses/{id}"), web::get().to(responses::retrieve))
            .route(&at("/responses/{id}"), web::delete().to(responses::forget))
            .route(&at("/responses/{id}/cancel"), web::post().to(responses::cancel))
            .route(&at("/responses/{id}/input_items"), web::get().to(responses::input_items))
            .route(&at("/conversations"), web::post().to(responses::create_conversation))
            .route(&at("/conversations/{id}"), web::get().to(responses::conversation))
            .route(&at("/conversations/{id}"), web::post().to(responses::describe_conversation))
            .route(&at("/conversations/{id}"), web::delete().to(responses::forget_conversation))
            .route(&at("/conversations/{id}/items"), web::get().to(responses::list_items))
            .route(&at("/conversations/{id}/items"), web::post().to(responses::add_items))
            .route(&at("/conversations/{id}/items/{item}"), web::get().to(responses::item))
            .route(
                &at("/conversations/{id}/items/{item}"),
                web::delete().to(responses::forget_item),
            )
            .route(&at("/embeddings"), web::post().to(openai::embeddings))
            .route(&at("/responses/input_tokens"), web::post().to(openai::input_tokens))
            .route(&at("/realtime"), web::get().to(realtime::realtime))
            .route(&at("/realtime/client_secrets"), web::post().to(browser_keys::client_secret))
            .route(&at("/images/generations"), web::post().to(openai::images))
            .route(&at("/images/files/{name}"), web::get().to(openai::picture))
            .route(&at("/models"), web::get().to(models::list))
            .route(&at("/models/{id:.*}"), web::get().to(models::get))
            // Google's newer SDKs leave the `beta` out.
            .route(&at("/models/{target:.*}"), web::post().to(gemini::act))
            // Called by the Anthropic SDK.
            .route(&at("/messages"), web::post().to(anthropic::messages))
            .route(&at("/messages/count_tokens"), web::post().to(anthropic::count_tokens))
            // Called by our own customers.
            .route(&at("/route"), web::post().to(openai::route))
            .route(&at("/feedback"), web::post().to(openai::feedback))
            .route(&at("/keys"), web::get().to(keys::list_keys))
            .route(&at("/keys"), web::post().to(keys::create_key))
            .route(&at("/keys/{id}"), web::get().to(keys::get_key))
            .route(&at("/keys/{id}"), web::patch().to(keys::change_key))
            .route(&at("/keys/{id}"), web::delete().to(keys::revoke_key))
            .route(&at("/keys/browser"), web::post().to(browser_keys::make))
            .route(&at("/keys/{id}/rotate"), web::post().to(keys::rotate_key))
            .route(&at("/me"), web::get().to(me::me))
            .route(&at("/me"), web::patch().to(me::rename))
            .route(&at("/me"), web::delete().to(me::leave))
            .route(&at("/me/email"), web::post().to(me::move_to))
            .route(&at("/me/email/confirm"), web::post().to(me::confirm_email))
            .route(&at("/me/password"), web::post().to(me::password))
            .route(&at("/me/prove"), web::post().to(me::prove))
            .route(&at("/me/account"), web::post().to(me::switch))
            .route(&at("/me/sessions"), web::get().to(me::sessions))
            .route(&at("/me/sessions"), web::delete().to(me::end_others))
            .route(&at("/me/sessions/{id}"), web::delete().to(me::end))
            .route(&at("/me/totp"), web::post().to(me::draft_factor))
            .route(&at("/me/totp"), web::delete().to(me::drop_factor))
            .route(&at("/me/totp/confirm"), web::post().to(me::confirm_factor))
            .route(&at("/account"), web::get().to(account::account))
            .route(&at("/account"), web::patch().to(account::rename))
            .route(&at("/account"), web::delete().to(account::delete))
            .route(&at("/account/members"), web::get().to(account::members))
            .route(&at("/account/members/{id}"), web::patch().to(account::change_member))
            .route(&at("/account/members/{id}"), web::delete().to(account::remove_member))
            .route(&at("/account/invitations"), web::get().to(account::invitations))
            .route(&at("/account/invitations"), web::post().to(account::invite))
            .route(&at("/account/invitations/{id}"), web::delete().to(account::withdraw))
            .route(&at("/account/invitations/{id}/resend"), web::post().to(account::invite_again))
            .route(&at("/limits"), web::get().to(me::limits))
            .route(&at("/usage"), web::get().to(usage::report))
            .route(&at("/requests"), web::get().to(usage::requests))
            .route(&at("/requests/{id}"), web::get().to(usage::request))
            // Called by billing dashboards.
            .route(&at("/organization/usage/completions"), web::get().to(usage::completions))
            .route(&at("/organization/usage/embeddings"), web::get().to(usage::embeddings))
            .route(&at("/organization/usage/images"), web::get().to(usage::images))
            .route(&at("/organization/costs"), web::get().to(usage::costs));
        platform::routes(prefix, config);
        // Called by operators.
        admin::routes(prefix, config);
    }
    for prefix in ["/v1beta", "/api/v1beta"] {
        // Called by Google's SDK.
        config
            .route(&format!("{prefix}/models"), web::get().to(models::list))
            .route(&format!("{prefix}/models/{{id:.*}}"), web::get().to(models::get))
            .route(&format!("{prefix}/models/{{target:.*}}"), web::post().to(gemini::act));
    }
    platform::optima_routes(config);
    config
        // Called by people's browsers, through whatever signs them in.
        .route("/api/auth/login", web::post().to(signin::login))
        .route("/api/auth/refresh", web::post().to(signin::refresh))
        .route("/api/auth/logout", web::post().to(signin::logout))
        .route("/api/auth/register", web::post().to(signin::register))
        .route("/api/auth/verify", web::post().to(signin::verify))
        .route("/api/auth/verify/resend", web::post().to(signin::send_again))
        .route("/api/auth/providers", web::get().to(signin::providers))
        .route("/api/auth/forgot", web::post().to(signin::forgot))
        .route("/api/auth/reset", web::post().to(signin::reset))
        .route("/api/auth/invitations/{token}", web::get().to(signin::invitation))
        .route("/api/auth/invitations/{token}", web::post().to(signin::accept))
        .route("/api/auth/invitations/{token}/decline", web::post().to(signin::decline))
        .route("/.well-known/jwks.json", web::get().to(signin::jwks))
        .route("/openapi.json", web::get().to(openapi::openapi));
}

/// For the machines that watch us: on the listener of all the rest, or on one of their own. They find
/// what all workers share.
pub fn probes(config: &mut ServiceConfig) {
    states(config);
    config.route("/metrics", web::get().to(ops::metrics));
}

/// The same on the listener that callers use.
pub fn probes_beside_callers(config: &mut ServiceConfig) {
    states(config);
    config.route("/metrics", web::get().to(ops::metrics_beside_callers));
}

fn states(config: &mut ServiceConfig) {
    config.route("/healthz", web::get().to(ops::alive)).route("/readyz", web::get().to(ops::ready));
}
