//! What customers keep here and run here, beside asking models. Each handler reads, has the gateway
//! do it, and shows what came of it.

mod act;
mod agents;
pub(in crate::http) mod chats;
mod connect;
mod features;
pub(in crate::http) mod memory;

use actix_web::web::{self, ServiceConfig};

/// The routes under a prefix.
pub fn routes(prefix: &str, config: &mut ServiceConfig) {
    let at = |path: &str| format!("{prefix}{path}");
    config
        .route(&at("/features"), web::get().to(features::list))
        .route(&at("/features/{user}"), web::get().to(features::of_user))
        .route(&at("/features/{user}/{feature}"), web::post().to(features::set))
        .route(&at("/memory/store"), web::post().to(memory::store))
        .route(&at("/memory/search"), web::post().to(memory::search))
        .route(&at("/memory/graph/{user}/entities"), web::get().to(memory::graph))
        .route(&at("/memory/{user}"), web::get().to(memory::list))
        .route(&at("/memory/{user}"), web::delete().to(memory::forget))
        .route(&at("/memory/{user}/{id}"), web::delete().to(memory::forget_one))
        .route(&at("/agents"), web::get().to(agents::list))
        .route(&at("/agents"), web::post().to(agents::create))
        .route(&at("/agents/{id}"), web::get().to(agents::get))
        .route(&at("/agents/{id}"), web::put().to(agents::change))
        .route(&at("/agents/{id}"), web::delete().to(agents::delete))
        .route(&at("/agents/{id}/runs"), web::post().to(agents::run))
        .route(&at("/connect/apps"), web::get().to(connect::apps))
        .route(&at("/connect/accounts"), web::get().to(connect::accounts))
        .route(&at("/connect/accounts"), web::post().to(connect::connect))
        .route(&at("/connect/accounts/{id}"), web::delete().to(connect::disconnect))
        .route(&at("/connect/oauth/start"), web::get().to(connect::ask))
        .route(&at("/connect/oauth/start"), web::post().to(connect::leave))
        .route(&at("/connect/oauth/callback"), web::get().to(connect::callback))
        .route(&at("/connect/tools"), web::get().to(connect::tools))
        .route(&at("/connect/actions/run"), web::post().to(connect::run))
        .route(&at("/connect/events"), web::get().to(connect::events));
}

/// The routes under `/optima` and of platform features, whose errors are plain.
pub fn optima_routes(config: &mut ServiceConfig) {
    config
        .route("/optima/v1/models", web::get().to(chats::models))
        .route("/optima/v1/capabilities", web::get().to(chats::capabilities))
        .route("/optima/v1/conversations", web::get().to(chats::list))
        .route("/optima/v1/conversations", web::put().to(chats::put))
        .route("/optima/v1/conversations", web::delete().to(chats::delete))
        .route("/optima/v1/conversations/{id}", web::get().to(chats::get))
        .route("/optima/v1/conversations/{id}", web::put().to(chats::put_one))
        .route("/optima/v1/conversations/{id}", web::delete().to(chats::delete_one));
}
