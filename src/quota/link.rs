//! Connections to Redis: to one server, or to a cluster, whichever is found at the address.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};

use super::place::{PATIENCE, RedisServer, late};

/// Tries at a cluster's node before the answer is that it is away.
const CLUSTER_RETRIES: u32 = 2;

/// An open connection. Cheap to clone: all clones use it together.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    /// Each command goes to the node that has the slot of its key (Redis Cluster specification).
    Cluster(ClusterConnection),
}

impl Connection {
    /// # Errors
    /// When nobody answers in time.
    pub async fn open(place: &RedisServer) -> RedisResult<Self> {
        let client = place.client().await?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let mut one = client.get_multiplexed_async_connection_with_config(&config).await?;
        // A server by itself answers with an error; so may one that lets us ask nothing.
        let told = redis::cmd("CLUSTER").arg("INFO").query_async::<String>(&mut one).await;
        match told {
            Ok(told) if told.contains("cluster_state") => {}
            Err(why) if why.is_io_error() => return Err(why),
            _ => return Ok(Self::One(one)),
        }
        let cluster = ClusterClient::builder([client.get_connection_info().clone()])
            .connection_timeout(PATIENCE)
            .response_timeout(PATIENCE)
            .overall_response_timeout(Some(PATIENCE))
            .retries(CLUSTER_RETRIES)
            .build()?;
        // It asks several nodes who has what.
        let opening = cluster.get_async_connection();
        let opened = tokio::time::timeout(PATIENCE * 4, opening).await;
        Ok(Self::Cluster(opened.map_err(|_| late())??))
    }

    /// Whether commands about different accounts can go out as one.
    pub fn takes_all_at_once(&self) -> bool {
        matches!(self, Self::One(_))
    }
}

/// Whether Redis is there, and said no: it does not run a script, or not for this key.
pub(super) fn is_refusal(why: &RedisError) -> bool {
    why.code().is_some() && !why.is_io_error()
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(one) => one.req_packed_command(command),
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(one) => one.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(one) => one.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
