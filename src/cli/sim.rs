//! `optimux sim`

use std::net::TcpListener;

use clap::Args;

use super::print::say;
use crate::boot::Failure;
use crate::catalogue;
use crate::sim::{self, FactsIndex, Strictness};

#[derive(Debug, Args)]
pub struct Sim {
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9100")]
    listen: String,
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Accept what real models refuse.
    #[arg(long)]
    lenient: bool,
}

impl Sim {
    pub async fn run(self) -> Result<(), Failure> {
        let listener = TcpListener::bind(&self.listen)
            .map_err(|why| format!("cannot listen on {}: {why}", self.listen))?;
        let address = listener.local_addr()?;
        let manners = if self.lenient {
            Strictness::Lenient
        } else {
            Strictness::Strict(FactsIndex::new(&catalogue::builtin()?))
        };
        let server = sim::serve(listener, self.workers.max(1), manners)?;
        say(&format!(
            "the simulated provider is listening:\n  \
             openai-chat  http://{address}/v1\n  \
             anthropic    http://{address}/v1\n  \
             gemini       http://{address}/v1beta\n  \
             any, as one  http://{address}/at/PROVIDER/v1"
        ));
        let handle = server.handle();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                handle.stop(true).await;
            }
        });
        server.await?;
        Ok(())
    }
}
