//! Documents at addresses, for the command line.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Response};

/// How long an address may take for a document.
const DOCUMENT_TIME: Duration = Duration::from_secs(60);

/// A document at an address, of so many bytes at most: for the command line.
///
/// # Errors
/// Why there is none, in words.
pub async fn document(url: &str, most: usize) -> Result<Bytes, String> {
    let client = Client::builder().timeout(DOCUMENT_TIME).build().map_err(|why| why.to_string())?;
    let answer = client.get(url).send().await.and_then(Response::error_for_status);
    let mut answer = answer.map_err(|why| why.to_string())?;
    let mut whole = BytesMut::new();
    while let Some(piece) = answer.chunk().await.map_err(|why| why.to_string())? {
        if whole.len() + piece.len() > most {
            return Err(format!("{url}: more than {most} bytes"));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}
