//! Servers of the Model Context Protocol: over standard input and output, or over streamable HTTP. A
//! session per app and owner, started when it is first needed and ended when it is not used, hangs,
//! or breaks.

use std::collections::HashMap;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::http::{HeaderName, HeaderValue};
use rmcp::model::{CallToolRequestParams, CallToolResponse};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ErrorData, ServiceExt};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::{Child, Command};

use super::guard::vetted;
use super::{App, Auth, ConnectError, Credential, Ran, Tool};

/// A session that nobody used for so long is ended.
const IDLE: Duration = Duration::from_secs(300);
/// How many sessions there may be; the least used one makes room.
const MOST: usize = 64;

/// A started session. The process, if there is one, ends with it.
struct Session {
    client: RunningService<RoleClient, ()>,
    used: Mutex<Instant>,
    _child: Option<Child>,
}

type Key = (String, String);

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<HashMap<Key, Arc<Session>>>>);

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// A reader that breaks when a line grows too long: a server that says no end is not listened to.
struct Bounded<R> {
    inner: R,
    line: usize,
    most: usize,
}

impl<R: AsyncRead + Unpin> AsyncRead for Bounded<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
        let new = buffer.filled().get(before..).unwrap_or_default();
        match memchr::memrchr(b'\n', new) {
            Some(last) => this.line = new.len() - last - 1,
            None => this.line += new.len(),
        }
        if this.line > this.most {
            return Poll::Ready(Err(std::io::Error::other("a line is too long")));
        }
        read
    }
}

fn down(why: impl std::fmt::Display) -> ConnectError {
    ConnectError::Down(why.to_string().chars().take(300).collect())
}

async fn start(app: &App, credential: &Credential) -> Result<Session, ConnectError> {
    let entry = &app.entry;
    let token = credential.token.as_ref().map(ExposeSecret::expose_secret);
    if let Some(command) = &entry.command {
        let (program, arguments) = command.split_first().ok_or_else(|| down("no command"))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            // What the gateway knows (keys of providers, above all) is none of the server's business.
            .env_clear()
            .envs(
                ["PATH", "HOME", "LANG", "TMPDIR"]
                    .iter()
                    .filter_map(|name| std::env::var(name).ok().map(|value| (*name, value))),
            )
            .envs(&entry.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if let (Auth::Env { name }, Some(token)) = (&entry.auth, token) {
            command.env(name, token);
        }
        let mut child = command.spawn().map_err(down)?;
        let (output, input) = (child.stdout.take(), child.stdin.take());
        let (Some(output), Some(input)) = (output, input) else { return Err(down("no pipes")) };
        // A message may be somewhat larger than what it holds.
        let most = entry.max_bytes.saturating_mul(2).saturating_add(64 << 10);
        let reader = Bounded { inner: output, line: 0, most };
        let client = ().serve((reader, input)).await.map_err(down)?;
        return Ok(Session { client, used: Mutex::new(Instant::now()), _child: Some(child) });
    }
    let url = entry.url.as_deref().ok_or_else(|| down("no address"))?;
    let url = vetted(url, entry).await?;
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
    config.max_sse_event_size = entry.max_bytes.saturating_mul(2).saturating_add(64 << 10);
    match (&entry.auth, token) {
        (Auth::Bearer | Auth::Oauth { .. }, Some(token)) => {
            config = config.auth_header(token);
        }
        (Auth::Header { name }, Some(token)) => {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(down)?;
            let mut value = HeaderValue::from_str(token).map_err(down)?;
            value.set_sensitive(true);
            config = config.custom_headers(HashMap::from([(name, value)]));
        }
        _ => {}
    }
    let transport = StreamableHttpClientTransport::with_client(app.client()?.clone(), config);
    let client = ().serve(transport).await.map_err(down)?;
    Ok(Session { client, used: Mutex::new(Instant::now()), _child: None })
}

impl Sessions {
    fn key(app: &App, credential: &Credential) -> Key {
        (app.id.clone(), credential.owner.clone())
    }

    async fn get(&self, app: &App, credential: &Credential) -> Result<Arc<Session>, ConnectError> {
        let key = Self::key(app, credential);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) =
            known.filter(|one| !one.client.is_closed() && !one.client.is_transport_closed())
        {
            *known.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            return Ok(known);
        }
        // Two that come at once may both start one; the first to end is dropped.
        let fresh = Arc::new(start(app, credential).await?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            let used =
                |session: &Session| *session.used.lock().unwrap_or_else(PoisonError::into_inner);
            let oldest = all.iter().min_by_key(|(_, one)| used(one)).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                all.remove(&oldest);
            }
        }
        all.insert(key, Arc::clone(&fresh));
        Ok(fresh)
    }

    pub fn end(&self, app: &App, credential: &Credential) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&Self::key(app, credential));
    }

    pub fn sweep(&self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| {
            one.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < IDLE
        });
    }

    /// Whatever is not an answer of the server's own ends its session.
    fn failed(&self, app: &App, credential: &Credential, why: ServiceError) -> ConnectError {
        match why {
            ServiceError::McpError(ErrorData { message, .. }) => {
                ConnectError::Refused(message.chars().take(300).collect())
            }
            other => {
                self.end(app, credential);
                down(other)
            }
        }
    }

    /// # Errors
    /// [`ConnectError`].
    pub async fn tools(
        &self,
        app: &App,
        credential: &Credential,
    ) -> Result<Vec<Tool>, ConnectError> {
        let session = self.get(app, credential).await?;
        let listed = session.client.list_all_tools().await;
        let listed = listed.map_err(|why| self.failed(app, credential, why))?;
        let tools = listed.into_iter().map(|tool| Tool {
            name: tool.name.into_owned(),
            description: tool.description.map(std::borrow::Cow::into_owned).unwrap_or_default(),
            input_schema: Value::Object(tool.input_schema.as_ref().clone()),
        });
        Ok(tools.collect())
    }

    /// # Errors
    /// [`ConnectError`].
    pub async fn call(
        &self,
        app: &App,
        tool: &str,
        arguments: Map<String, Value>,
        credential: &Credential,
    ) -> Result<Ran, ConnectError> {
        let session = self.get(app, credential).await?;
        let asked = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let called = session.client.call_tool_once(asked).await;
        match called.map_err(|why| self.failed(app, credential, why))? {
            CallToolResponse::Complete(result) => {
                let content =
                    result.content.iter().map(|part| serde_json::to_value(part).map_err(down));
                Ok(Ran {
                    is_error: result.is_error.unwrap_or(false),
                    content: content.collect::<Result<_, _>>()?,
                    structured: result.structured_content,
                })
            }
            _ => Err(ConnectError::Refused("it wants more than its arguments".to_owned())),
        }
    }
}
