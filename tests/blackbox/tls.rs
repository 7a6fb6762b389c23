//! TLS on the listener, with certificates that are replaced while it runs. The certificates are a test's own,
//! good for a hundred years.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use reqwest::{Certificate, Client, Version};
use serde_json::json;

use crate::house::{Gateway, KEY, Provider, eventually, good, runtime};

const CA: &[u8] = include_bytes!("tls/ca.pem");

fn pair(folder: &Path, name: &str) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackbox/tls");
    for (ending, file) in [("pem", "cert.pem"), ("key", "key.pem")] {
        std::fs::copy(from.join(format!("{name}.{ending}")), folder.join(file)).unwrap();
    }
}

/// A client that trusts the test's authority, and opens a connection of its own.
fn trusting() -> Client {
    optimux::boot::prepare();
    let authority = Certificate::from_pem(CA).unwrap();
    Client::builder().no_proxy().tls_info(true).add_root_certificate(authority).build().unwrap()
}

/// The certificate that is shown now, in DER.
fn shown(base: &str) -> Vec<u8> {
    runtime().block_on(async {
        let reply = trusting().get(format!("{base}/v1/models")).bearer_auth(KEY).send().await;
        let reply = reply.unwrap();
        let info = reply.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
        info.peer_certificate().unwrap().to_vec()
    })
}

#[test]
fn clients_are_answered_over_tls_and_certificates_are_replaced() {
    let provider = Provider::start(good("fine"));
    let watched = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = std::env::temp_dir().join(format!("optimux-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    pair(&folder, "one");
    let config = format!(
        "[server]\nadmin_listen = \"{watched}\"\ntls_cert_file = \"{0}/cert.pem\"\n\
         tls_key_file = \"{0}/key.pem\"\n[providers.p]\nbase_url = \"{1}/v1\"\n\
         dialect = \"openai-chat\"\n[[models]]\nid = \"m\"\n\
         deployments = [{{ provider = \"p\", model = \"m\" }}]\n",
        folder.display(),
        provider.base
    );
    let gateway = Gateway::start_watched(&config, &format!("http://{watched}"));
    let base = gateway.base.replacen("http", "https", 1);
    runtime().block_on(async {
        let body = json!({"model": "m", "stream": true,
            "messages": [{"role": "user", "content": "hi"}]});
        // Whichever the client prefers of what both speak.
        let authority = Certificate::from_pem(CA).unwrap();
        let old = Client::builder().no_proxy().http1_only().add_root_certificate(authority);
        for (client, version) in
            [(trusting(), Version::HTTP_2), (old.build().unwrap(), Version::HTTP_11)]
        {
            let asked = client.post(format!("{base}/v1/chat/completions")).bearer_auth(KEY);
            let asked = asked.header("content-type", "application/json").body(body.to_string());
            let reply = asked.send().await.unwrap();
            assert_eq!((reply.status().as_u16(), reply.version()), (200, version));
            let text = reply.text().await.unwrap();
            assert!(text.contains("fine") && text.ends_with("data: [DONE]\n\n"), "{text}");
        }
        // Neither plain text, nor a client that does not know the authority.
        assert!(reqwest::get(format!("{}/v1/models", gateway.base)).await.is_err());
        let strange = Client::builder().no_proxy().build().unwrap();
        assert!(strange.get(format!("{base}/v1/models")).send().await.is_err());
    });
    let first = shown(&base);
    // A key that is not the certificate's changes nothing.
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackbox/tls");
    std::fs::copy(from.join("two.pem"), folder.join("cert.pem")).unwrap();
    eventually("the fault is told of", || gateway.log().contains("the certificate stays as it is"));
    assert_eq!(shown(&base), first);
    pair(&folder, "two");
    eventually("the other is shown", || shown(&base) != first);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_cannot_be_used_is_named_before_it_starts() {
    let folder = std::env::temp_dir().join(format!("optimux-tls-faults-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    pair(&folder, "one");
    std::fs::write(folder.join("empty.pem"), "").unwrap();
    for (settings, wanted) in [
        ("tls_cert_file = \"cert.pem\"\n", "server.tls_key_file"),
        ("tls_key_file = \"key.pem\"\n", "server.tls_cert_file"),
        ("tls_cert_file = \"empty.pem\"\ntls_key_file = \"key.pem\"\n", "holds no certificate"),
        ("tls_cert_file = \"lost.pem\"\ntls_key_file = \"key.pem\"\n", "lost.pem"),
    ] {
        std::fs::write(folder.join("optimux.toml"), format!("[server]\n{settings}")).unwrap();
        let checked = Command::new(env!("CARGO_BIN_EXE_optimux"))
            .args(["check"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&checked.stdout).into_owned()
            + &String::from_utf8_lossy(&checked.stderr);
        assert!(!checked.status.success() && told.contains(wanted), "{settings}: {told}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
