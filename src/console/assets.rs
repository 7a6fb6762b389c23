//! What pages load: style, script, a picture. Embedded, under names that change with the files.

use actix_web::HttpResponse;
use actix_web::web::Path;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Where a browser finds a file of `assets/`.
#[must_use]
pub fn path(name: &str) -> String {
    let found = ASSETS.iter().find(|(known, _, _)| *known == name);
    format!("/assets/{}", found.map_or(name, |(_, hashed, _)| hashed))
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn sent(name: &str, body: &'static [u8], cached: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind(name))
        .insert_header(("cache-control", cached))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(body)
}

/// `GET /assets/{name}`
pub async fn asset(name: Path<String>) -> HttpResponse {
    match ASSETS.iter().find(|(_, hashed, _)| *hashed == name.as_str()) {
        Some((known, _, body)) => sent(known, body, "public, max-age=31536000, immutable"),
        None => HttpResponse::NotFound().finish(),
    }
}

/// `GET /favicon.ico`: browsers ask for it, whatever a page says.
pub async fn icon() -> HttpResponse {
    match ASSETS.iter().find(|(known, _, _)| *known == "icon.svg") {
        Some((known, _, body)) => sent(known, body, "public, max-age=86400"),
        None => HttpResponse::NotFound().finish(),
    }
}
