//! `optimux serve`

use std::path::Path;

use clap::Args;

use crate::boot::{self, Failure};

#[derive(Debug, Default, Args)]
pub struct Serve {
    /// Address and port; overrides the configuration.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Make up every answer, whatever is configured: for trying out, and for load.
    #[arg(long)]
    simulate: bool,
}

impl Serve {
    pub async fn run(self, config: Option<&Path>) -> Result<(), Failure> {
        boot::serve(config, self.listen.as_deref(), self.simulate, super::print::say).await
    }
}
