//! Where Redis is: a server or any node of a cluster at an address, or whichever server its sentinels
//! call the master at the moment.

use std::sync::Arc;
use std::time::Duration;

use redis::sentinel::{Sentinel, SentinelNodeConnectionInfo};
use redis::{
    Client, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, RedisConnectionInfo, RedisError,
    RedisResult, TlsMode,
};
use tokio::time::timeout;

/// What is not known by then is decided without Redis.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// The schemes of an address of sentinels, and those of each server behind it.
const SENTINELS: [(&str, &str); 2] =
    [("redis+sentinel://", "redis://"), ("rediss+sentinel://", "rediss://")];

/// Where Redis is: one server, or whichever the sentinels name. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum RedisServer {
    At(Box<Client>),
    Watched(Arc<SentinelServers>),
}

/// Redis servers whose master is named by sentinels.
#[derive(Debug)]
pub(super) struct SentinelServers {
    sentinels: Vec<ConnectionInfo>,
    /// What the sentinels call them (`sentinel monitor NAME …`).
    name: String,
    servers: SentinelNodeConnectionInfo,
    db: i64,
}

impl RedisServer {
    /// Reads `redis://…`, `rediss://…`, or `redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME/DB`, in
    /// which the credentials are those of the servers, and of the sentinels `?sentinel_user=` and
    /// `sentinel_password=`. With `rediss+sentinel` both are spoken to over TLS.
    ///
    /// # Errors
    /// When the address makes no sense.
    pub fn of(url: &str) -> RedisResult<Self> {
        let sentinels = SENTINELS.iter().find_map(|(scheme, each)| {
            let rest = url.strip_prefix(scheme)?;
            Some(SentinelServers::of(rest, each))
        });
        Ok(match sentinels {
            Some(watched) => Self::Watched(Arc::new(watched?)),
            None => Self::At(Box::new(Client::open(url)?)),
        })
    }

    /// Whom to connect to now. Sentinels are asked each time.
    ///
    /// # Errors
    /// When no sentinel answers in time, or none knows a master that says it is one.
    pub async fn client(&self) -> RedisResult<Client> {
        match self {
            Self::At(client) => Ok(Client::clone(client)),
            Self::Watched(watched) => {
                let mut sentinels = Sentinel::build(watched.sentinels.clone())?;
                let asking = sentinels.async_master_for(&watched.name, Some(&watched.servers));
                timeout(PATIENCE * 4, asking).await.map_err(|_| late())?
            }
        }
    }

    /// The number of its database.
    pub fn db(&self) -> i64 {
        match self {
            Self::At(client) => client.get_connection_info().redis_settings().db(),
            Self::Watched(watched) => watched.db,
        }
    }
}

fn wrong(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, why))
}

impl SentinelServers {
    /// `rest` follows the scheme; `each` is the scheme of one server.
    fn of(rest: &str, each: &str) -> RedisResult<Self> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (format!("{login}@"), rest),
            None => (String::new(), rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, db) = path.split_once('/').unwrap_or((path, "0"));
        if name.is_empty() {
            return Err(wrong(
                "an address of sentinels names what they watch over: redis+sentinel://HOST:PORT/NAME",
            ));
        }
        let of_query = |name: &str| {
            let mut all = query.split('&').filter_map(|one| one.split_once('='));
            all.find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        let (user, password) = (of_query("sentinel_user"), of_query("sentinel_password"));
        let own = match (user, password) {
            (None, None) => String::new(),
            (user, password) => {
                format!("{}:{}@", user.unwrap_or_default(), password.unwrap_or_default())
            }
        };
        let sentinels = hosts
            .split(',')
            .map(|host| format!("{each}{own}{}/0", with_port(host)).as_str().into_connection_info())
            .collect::<RedisResult<Vec<_>>>()?;
        // Read as an address is, so that credentials are written in the same way.
        let server = format!("{each}{login}server/{db}").as_str().into_connection_info()?;
        let settings: RedisConnectionInfo = server.redis_settings().clone();
        let db = settings.db();
        let mut servers = SentinelNodeConnectionInfo::default().set_redis_connection_info(settings);
        if each == "rediss://" {
            servers = servers.set_tls_mode(TlsMode::Secure);
        }
        Ok(Self { sentinels, name: name.to_owned(), servers, db })
    }
}

/// Nobody answered in time.
pub(super) fn late() -> RedisError {
    RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))
}

/// A sentinel listens at 26379 unless it is said otherwise.
fn with_port(host: &str) -> String {
    let bare = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    if bare.contains(':') { host.to_owned() } else { format!("{host}:26379") }
}

#[cfg(test)]
mod tests {
    use redis::ConnectionAddr;

    use super::*;

    fn watched(url: &str) -> SentinelServers {
        match RedisServer::of(url).unwrap() {
            RedisServer::Watched(watched) => Arc::into_inner(watched).unwrap(),
            RedisServer::At(_) => panic!("{url}"),
        }
    }

    #[test]
    fn an_address_of_sentinels_is_read() {
        let read = watched("redis+sentinel://u:p%40@a:1,[::1],b/main/3?sentinel_password=s");
        let hosts: Vec<_> = read.sentinels.iter().map(|one| one.addr().clone()).collect();
        let tcp = |host: &str, port| ConnectionAddr::Tcp(host.to_owned(), port);
        assert_eq!(hosts, [tcp("a", 1), tcp("::1", 26379), tcp("b", 26379)]);
        assert_eq!((read.name.as_str(), read.db), ("main", 3));
        assert_eq!(read.sentinels[0].redis_settings().password(), Some("s"));
        let shown = format!("{:?}", read.servers);
        assert!(shown.contains("db: 3"), "{shown}");
        assert_eq!(watched("rediss+sentinel://a/main").db, 0);
    }

    #[test]
    fn an_address_without_a_name_is_none() {
        for wrong in ["redis+sentinel://a:1", "redis+sentinel://a:1/", "redis+sentinel:///main"] {
            assert!(RedisServer::of(wrong).is_err(), "{wrong}");
        }
        assert!(matches!(RedisServer::of("redis://a/2").unwrap(), RedisServer::At(_)));
    }
}
