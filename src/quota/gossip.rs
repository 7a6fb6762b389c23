//! What nodes tell one another through Redis: lines, published to all of them. Best effort: nobody waits for
//! it, and what Redis does not pass on is lost.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::place::RedisServer;
use super::place::{PATIENCE, late};

/// Lines that wait to be told, or to be heard. Those beyond are dropped.
const WAITING: usize = 4_096;
/// Lines that go out as one message.
const BATCH: usize = 256;
/// Who has nothing to tell says at least that, this often.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Who hears nothing for so long, not even itself, listens anew.
const SILENCE: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_secs(1);

/// Tells the other nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gossip(mpsc::Sender<String>);

impl Gossip {
    /// Begins to tell and to listen; Redis need not be there yet. The other end of it yields the lines of
    /// other nodes.
    ///
    /// # Errors
    /// When the address makes no sense.
    pub fn open(url: &str) -> RedisResult<(Self, mpsc::Receiver<String>)> {
        let place = RedisServer::of(url)?;
        // What is published is heard over all databases of a server.
        let channel = format!("optimux:{}:gossip", place.db());
        let node = uuid::Uuid::now_v7().simple().to_string();
        let (told, lines) = mpsc::channel(WAITING);
        let (heard, hearing) = mpsc::channel(WAITING);
        let teller = Teller { place, channel, node };
        // Nothing waits for either at shutdown: what is not told is not needed.
        tokio::spawn(teller.clone().listening(heard));
        tokio::spawn(teller.telling(lines));
        Ok((Self(told), hearing))
    }

    /// Never waits. A line has no end of line in it.
    pub fn tell(&self, line: String) {
        // Too many are not worth more than none.
        let _full = self.0.try_send(line);
    }
}

#[derive(Clone)]
struct Teller {
    place: RedisServer,
    channel: String,
    /// Who tells stands in the first line: nobody listens to itself.
    node: String,
}

impl Teller {
    async fn telling(self, mut lines: mpsc::Receiver<String>) {
        let mut connection: Option<MultiplexedConnection> = None;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.clear();
            if let Ok(0) = timeout(HEARTBEAT, lines.recv_many(&mut batch, BATCH)).await {
                return;
            }
            let message = format!("{}\n{}", self.node, batch.join("\n"));
            if let Err(why) = self.publish(&mut connection, &message).await {
                tracing::debug!(%why, lines = batch.len(), "the other nodes cannot be told");
                connection = None;
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    async fn publish(
        &self,
        connection: &mut Option<MultiplexedConnection>,
        message: &str,
    ) -> RedisResult<()> {
        let mut open = match connection.take() {
            Some(open) => open,
            None => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(PATIENCE))
                    .set_response_timeout(Some(PATIENCE));
                let client = self.place.client().await?;
                client.get_multiplexed_async_connection_with_config(&config).await?
            }
        };
        // How many have heard it is of no interest.
        let mut telling = redis::cmd("PUBLISH");
        telling.arg(&self.channel).arg(message).query_async::<i64>(&mut open).await?;
        *connection = Some(open);
        Ok(())
    }

    async fn listening(self, heard: mpsc::Sender<String>) {
        let mut deaf = false;
        loop {
            match self.listen(&heard, &mut deaf).await {
                Ok(()) => return,
                Err(why) if !deaf => {
                    deaf = true;
                    tracing::warn!(%why, "other nodes cannot be heard through Redis: each goes by what it sees itself");
                }
                Err(_) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Listens until the connection breaks, or nobody is left to hear for.
    async fn listen(&self, heard: &mpsc::Sender<String>, deaf: &mut bool) -> RedisResult<()> {
        let opening = async {
            let mut open = self.place.client().await?.get_async_pubsub().await?;
            open.subscribe(&self.channel).await?;
            RedisResult::Ok(open)
        };
        let mut messages =
            timeout(PATIENCE * 4, opening).await.map_err(|_| late())??.into_on_message();
        if std::mem::take(deaf) {
            tracing::info!("other nodes are heard through Redis again");
        }
        loop {
            let next = timeout(SILENCE, messages.next()).await.map_err(|_| late())?;
            let Some(message) = next else { return Err(late()) };
            let Ok(text) = message.get_payload::<String>() else { continue };
            let mut lines = text.lines();
            if lines.next() == Some(&self.node) {
                continue;
            }
            for line in lines.filter(|line| !line.is_empty()) {
                // What nobody has time to hear is lost.
                let _full = heard.try_send(line.to_owned());
            }
            if heard.is_closed() {
                return Ok(());
            }
        }
    }
}
