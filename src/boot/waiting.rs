//! A process that starts on a full disk: it listens, refuses, and goes on once there is room.

use std::fs::File;
use std::io::ErrorKind::{QuotaExceeded, StorageFull};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use actix_web::http::KeepAlive;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;

use super::failure::Failure;
use super::listening::Listener;
use crate::store::file_of;

/// How often the disk is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long answers under way may take at the end; each is written as soon as its request is read.
const LAST_ANSWERS: Duration = Duration::from_millis(300);
const STOPPED: &str = "told to stop while the disk of the store was full";
/// What the store needs at least to be opened and written to.
const ROOM: usize = 256 << 10;

/// Waits until there is room on the disk of the store at `url`. Until then callers at `listener` are
/// refused with 503.
///
/// # Errors
/// That the process was told to stop, or cannot serve.
pub(super) async fn for_room(url: &str, listener: &Listener) -> Result<(), Failure> {
    if !is_full(url) {
        return Ok(());
    }
    tracing::error!("the disk of the store is full: requests are refused until there is room");
    // Nobody is kept: whoever asks again is to find the gateway itself.
    let server = HttpServer::new(|| App::new().default_service(web::to(refused)))
        .workers(1)
        .keep_alive(KeepAlive::Disabled)
        .shutdown_timeout(1);
    let server = match listener {
        Listener::Tcp(listener) => server.listen(listener.try_clone()?)?,
        Listener::Unix(listener) => server.listen_uds(listener.try_clone()?)?,
    }
    .run();
    let handle = server.handle();
    let room = async {
        while is_full(url) {
            tokio::time::sleep(AGAIN).await;
        }
    };
    // To its end, by a task of its own: a server that is only dropped goes on taking connections from the
    // listener, and leaves them unanswered.
    let mut serving = tokio::spawn(server);
    tokio::select! {
        () = room => {
            // Who comes from now on waits in the listener's queue for the gateway itself; who was taken is
            // answered first: a worker that stops drops what it has not begun with.
            handle.pause().await;
            if let Ok(ended) = tokio::time::timeout(LAST_ANSWERS, &mut serving).await {
                ended??;
                return Err(STOPPED.into());
            }
            handle.stop(true).await;
            serving.await??;
        }
        ended = &mut serving => {
            ended??;
            return Err(STOPPED.into());
        }
    }
    tracing::info!("there is room on the disk of the store: starting");
    Ok(())
}

async fn refused(request: HttpRequest) -> HttpResponse {
    if request.path() == "/healthz" {
        return HttpResponse::Ok().json(json!({"status": "ok"}));
    }
    let message = "The service is temporarily unavailable. Try again shortly.";
    HttpResponse::ServiceUnavailable().insert_header(("retry-after", "5")).json(json!({
        "status": "the disk of the store is full",
        "error": {"message": message, "type": "service_unavailable_error", "code": "service_unavailable"},
    }))
}

/// Whether the disk of a database in a file takes nothing more. A folder that cannot be written to for
/// another reason is left to whoever opens the database: that does not mend itself.
fn is_full(url: &str) -> bool {
    let Some(file) = file_of(url) else { return false };
    let folder = Path::new(file).parent().filter(|folder| !folder.as_os_str().is_empty());
    let place = folder.unwrap_or(Path::new(".")).join(format!(".optimux-{}", std::process::id()));
    let tried = File::create(&place).and_then(|mut file| file.write_all(&vec![0; ROOM]));
    // It may not have been made at all.
    let _gone = std::fs::remove_file(&place);
    tried.is_err_and(|why| matches!(why.kind(), StorageFull | QuotaExceeded))
}
