//! Proxies that speak SOCKS: one that is told names, checks passwords and leads on to a provider.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::json;

use crate::house::{Gateway, Provider, completion, respond};

/// What one caller of a proxy said of itself and of where it wants to go.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    version: u8,
    login: Option<(String, String)>,
    host: String,
    port: u16,
}

fn take<const N: usize>(socket: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

/// A text behind a byte that counts it.
fn counted(socket: &mut TcpStream) -> String {
    let [length] = take(socket);
    let mut bytes = vec![0; length.into()];
    socket.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A text in front of a zero.
fn ended(socket: &mut TcpStream) -> String {
    let bytes = std::iter::repeat_with(|| take(socket)).map(|[byte]: [u8; 1]| byte);
    String::from_utf8(bytes.take_while(|byte| *byte != 0).collect()).unwrap()
}

/// Talks as RFC 1928 and 1929 have it (version 5), or as version 4a does, which takes names.
fn greet(socket: &mut TcpStream, word: Option<&str>) -> Asked {
    let [version] = take(socket);
    if version == 4 {
        let [command, high, low, ..] = take::<7>(socket);
        assert_eq!(command, 1);
        ended(socket);
        let host = ended(socket);
        socket.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).unwrap();
        return Asked { version, login: None, host, port: u16::from_be_bytes([high, low]) };
    }
    let methods = counted(socket);
    let method = u8::from(word.is_some()) * 2;
    assert!(methods.as_bytes().contains(&method), "{methods:?}");
    socket.write_all(&[5, method]).unwrap();
    let login = word.map(|word| {
        let [_] = take(socket);
        let login = (counted(socket), counted(socket));
        socket.write_all(&[1, u8::from(login.1 != word)]).unwrap();
        login
    });
    let [_, command, _, kind] = take(socket);
    assert_eq!((command, kind), (1, 3), "a connection to a name");
    let host = counted(socket);
    let port = u16::from_be_bytes(take(socket));
    socket.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    Asked { version, login, host, port }
}

/// A proxy that leads everybody to one provider. Its address, and what it was asked.
fn proxy(provider: &Provider, word: Option<&'static str>) -> (String, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let there = provider.base.trim_start_matches("http://").to_owned();
    let (tell, told) = channel();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            if tell.send(greet(&mut socket, word)).is_err() {
                return;
            }
            let far = TcpStream::connect(&there).unwrap();
            let (mut from, mut to) = (socket.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            let (mut from, mut to) = (far, socket);
            thread::spawn(move || std::io::copy(&mut from, &mut to));
        }
    });
    (address, told)
}

#[test]
fn a_socks_proxy_is_told_the_name_and_its_password() {
    let config = "[providers.far]\nbase_url = \"http://provider.invalid:8000/v1\"\n\
        dialect = \"openai-chat\"\n\
        [[models]]\nid = \"m\"\ndeployments = [{ provider = \"far\", model = \"m\" }]\n";
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for (scheme, version, login) in
        [("socks5", 5, None), ("socks5h", 5, Some(("user", "word"))), ("socks4", 4, None)]
    {
        for variable in ["ALL_PROXY", "OPTIMUX_UPSTREAM__PROXY"] {
            let provider = Provider::start(|socket, _, _| {
                respond(socket, 200, "", "application/json", &completion("m", "far away"));
            });
            let (address, told) = proxy(&provider, login.map(|(_, word)| word));
            let before = login.map_or(String::new(), |(user, word)| format!("{user}:{word}@"));
            let url = format!("{scheme}://{before}{address}");
            let answer = Gateway::start_with(config, &[(variable, &url)]).chat(&body);
            assert_eq!(answer.said(), "far away", "{scheme}: {}", answer.text());
            let login = login.map(|(user, word)| (user.to_owned(), word.to_owned()));
            let host = "provider.invalid".to_owned();
            assert_eq!(told.recv().unwrap(), Asked { version, login, host, port: 8000 });
            assert_eq!(provider.last().path(), "/v1/chat/completions");
            assert!(!provider.last().head.contains("proxy-authorization"));
        }
    }
}
