//! `optimux import`

use std::io::Write as _;
use std::path::PathBuf;

use clap::Subcommand;

use super::print::say;
use crate::boot::Failure;
use crate::catalogue;
use crate::config::litellm;

#[derive(Debug, Subcommand)]
pub enum Import {
    /// From the `config.yaml` of LiteLLM's proxy. The configuration goes to standard output, what is
    /// not carried to standard error.
    Litellm {
        file: PathBuf,
        /// Write the configuration into this file, which must not be there yet.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

impl Import {
    pub fn run(self) -> Result<(), Failure> {
        let Self::Litellm { file, output } = self;
        let named = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
        let text = std::fs::read_to_string(&file).map_err(|why| named(&why))?;
        let made = litellm::import(&text, &catalogue::builtin()?).map_err(|why| named(&why))?;
        match output {
            None => say(made.config.trim_end()),
            Some(output) => {
                let written = std::fs::File::create_new(&output)
                    .and_then(|mut new| new.write_all(made.config.as_bytes()));
                written.map_err(|why| format!("{}: {why}", output.display()))?;
            }
        }
        let mut told = std::io::stderr();
        for note in &made.notes {
            // Nobody is left to tell when standard error is closed.
            let _closed = writeln!(told, "{note}");
        }
        Ok(())
    }
}
