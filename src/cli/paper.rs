//! `optimux completions` and `optimux man`: what a package installs beside the binary.

use clap::{Args, Command};
use clap_complete::Shell;

use super::print::say;
use crate::boot::Failure;

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell that is to know the commands.
    shell: Shell,
}

impl Completions {
    /// Prints what a shell reads to complete our commands.
    pub fn run(self, mut command: Command) {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "optimux", &mut script);
        say(String::from_utf8_lossy(&script).trim_end());
    }
}

/// Prints the manual, a page after the other: of the command, then of each command below it.
pub fn man(mut command: Command) -> Result<(), Failure> {
    command.build();
    let mut page = Vec::new();
    pages(&command, &mut page)?;
    say(String::from_utf8_lossy(&page).trim_end());
    Ok(())
}

fn pages(command: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(out)?;
    let shown =
        command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help");
    for below in shown {
        let whole =
            format!("{} {}", command.get_display_name().unwrap_or("optimux"), below.get_name());
        pages(&below.clone().display_name(whole.replace(' ', "-")), out)?;
    }
    Ok(())
}
