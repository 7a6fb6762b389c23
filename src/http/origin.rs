//! Whence a request comes, and where it reached us.

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;

use super::Worker;

/// Whence the caller comes, for those who guess.
#[must_use]
pub fn address(app: &Worker, request: &HttpRequest) -> String {
    let forwarded =
        request.headers().get("x-forwarded-for").filter(|_| app.shared.serving.behind_proxy);
    // The last is what our own proxy saw; those before it are what its caller said.
    let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    if let Some(address) = last.map(str::trim).filter(|address| !address.is_empty()) {
        return address.chars().take(64).collect();
    }
    request.peer_addr().map_or_else(|| "nowhere".to_owned(), |peer| peer.ip().to_string())
}

/// Where the caller reaches this gateway, without a slash at the end. What `X-Forwarded-*` says is
/// believed only behind a proxy of one's own: anybody else could have addresses point anywhere.
#[must_use]
pub fn home(app: &Worker, request: &HttpRequest) -> String {
    if let Some(url) = &app.shared.serving.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    // The last value is what our own proxy said.
    let forwarded = |name: &str| {
        let value = request
            .headers()
            .get(name)
            .filter(|_| app.shared.serving.behind_proxy)?
            .to_str()
            .ok()?;
        value.rsplit(',').next().map(str::trim)
    };
    let scheme = match forwarded("x-forwarded-proto") {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    let asked = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = [forwarded("x-forwarded-host"), asked]
        .into_iter()
        .flatten()
        .find(|host| host.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@')));
    format!("{scheme}://{}", host.unwrap_or("localhost"))
}
