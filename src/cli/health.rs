//! `optimux health`

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::print::say;
use crate::boot::Failure;
use crate::config::{self, Listen};

/// How long a node may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(3);
/// More of what it says is not read.
const ANSWER_BYTES: u64 = 64 << 10;

#[derive(Debug, Default, Args)]
pub struct Health {
    /// Where to ask, if not where the configuration has the node listen.
    #[arg(long, value_name = "ADDR")]
    address: Option<String>,
}

impl Health {
    /// Asks a node whether it is to be sent requests. Fails unless it says so.
    pub fn run(self, file: Option<&Path>) -> Result<(), Failure> {
        let address = match self.address {
            Some(address) => address,
            None => {
                let server = config::read(file)?.server;
                server.admin_listen.unwrap_or(server.listen)
            }
        };
        let wrong = |why: String| format!("{address} cannot be asked: {why}");
        if let Listen::Socket(path) = Listen::of(&address) {
            let asked = UnixStream::connect(path).and_then(|socket| {
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                asked(socket, "optimux")
            });
            return judged(asked.map_err(|why| wrong(why.to_string()))?);
        }
        let all = address.to_socket_addrs().map_err(|why| wrong(why.to_string()))?;
        let mut last = wrong("it is no address".to_owned());
        for place in all.map(reachable) {
            match connected(place).and_then(|socket| asked(socket, &place.to_string())) {
                Ok(answer) => return judged(answer),
                Err(why) => last = wrong(why.to_string()),
            }
        }
        Err(last.into())
    }
}

/// A node that listens on all addresses is asked at its own.
fn reachable(place: SocketAddr) -> SocketAddr {
    let own = match place.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(own, place.port())
}

/// What a node says of itself, told, unless it is not ready.
fn judged((status, said): (u16, String)) -> Result<(), Failure> {
    if status == 200 {
        say(&said);
        return Ok(());
    }
    Err(format!("not ready ({status}): {said}").into())
}

fn connected(place: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&place, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// The status of its readiness, and the body.
fn asked(mut socket: impl Read + Write, host: &str) -> io::Result<(u16, String)> {
    write!(socket, "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.take(ANSWER_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("it does not speak HTTP"))?;
    Ok((status, body.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_on_all_addresses_is_asked_at_its_own() {
        for (listens, asked) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.1.2.3:3", "10.1.2.3:3")]
        {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), asked);
        }
    }
}
