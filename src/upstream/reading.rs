//! The body of an answer, read whole within limits of time and size.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;

use super::transport::IncomingAnswer;
use crate::wire::vocab::{Fault, FaultKind};

pub(super) async fn read_whole(
    incoming: IncomingAnswer,
    patience: Duration,
    limit: usize,
) -> Result<Bytes, Fault> {
    let reading = async move {
        let mut body = incoming.body;
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        loop {
            let frame =
                std::future::poll_fn(|cx: &mut Context<'_>| Pin::new(&mut body).poll_frame(cx));
            match frame.await {
                None => break,
                Some(Err(why)) => {
                    return Err(Fault::new(
                        FaultKind::Broken,
                        format!("the answer broke off: {why}"),
                    ));
                }
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if all.len() + data.len() > limit {
                        return Err(Fault::new(FaultKind::Broken, "the answer is too large"));
                    }
                    // Most answers come in one piece, which then need not be copied.
                    match (&first, all.is_empty()) {
                        (None, true) => first = Some(data),
                        _ => {
                            if let Some(first) = first.take() {
                                all.extend_from_slice(&first);
                            }
                            all.extend_from_slice(&data);
                        }
                    }
                }
            }
        }
        Ok(first.unwrap_or_else(|| all.freeze()))
    };
    tokio::time::timeout(patience, reading).await.unwrap_or_else(|_| {
        Err(Fault::new(FaultKind::Timeout, "the answer did not come to its end"))
    })
}
