//! `optimux check`

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::print::say;
use crate::base::calendar;
use crate::base::clock::Clock;
use crate::boot::{self, Backing, Failure, Survey};
use crate::catalogue::lifecycle;
use crate::config::{ConfigFault, Faults};
use crate::quota::SharedCounters;
use crate::upstream::{AttemptLimits, Prober, Trust, exchanges};

/// How long a provider may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Args)]
pub struct Check {
    /// Ask every provider, too, whether it is there and takes its key.
    #[arg(long)]
    online: bool,
    /// Print what was found as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Looks at all that `serve` looks at before it starts, and at Redis.
    pub async fn run(self, file: Option<&Path>) -> Result<(), Failure> {
        let (faults, notes, found) = match boot::examined(file).await {
            Err(Faults(faults)) => (faults, Vec::new(), String::new()),
            Ok(mut survey) => {
                redis(&mut survey).await;
                if self.online {
                    providers(&mut survey).await?;
                }
                ends(&mut survey);
                let found = found(&survey);
                (survey.faults, survey.notes, found)
            }
        };
        let good = faults.is_empty();
        if self.json {
            say(&json!({"ok": good, "faults": faults, "notes": notes}).to_string());
            return if good { Ok(()) } else { Err("the configuration is not good".into()) };
        }
        for note in &notes {
            say(&note.to_string());
        }
        if !good {
            return Err(Faults(faults).into());
        }
        say(&format!("The configuration is good: {found}; the store answers."));
        Ok(())
    }
}

fn found(survey: &Survey) -> String {
    match (&survey.made, survey.answers) {
        (Some((live, _)), Backing::Real) => {
            let served = live.catalogue.models().iter();
            let served = served.filter(|model| !model.deployments.is_empty()).count();
            format!("{served} models at {} deployments", live.catalogue.deployment_count())
        }
        _ => "no provider is configured: models will be simulated".to_owned(),
    }
}

/// Models that end soon.
fn ends(survey: &mut Survey) {
    let Some((live, _)) = &survey.made else { return };
    let now = Clock::System.now();
    for model in live.catalogue.models() {
        if let Some(ends) = lifecycle::ends_soon(model, now) {
            let instead = model.replacement.as_deref().unwrap_or("nothing");
            let ends = calendar::written_day(ends);
            let why = format!("ends on {ends}; {instead} answers for it then");
            survey.notes.push(ConfigFault::new(&*model.id, why));
        }
    }
}

/// Redis answers, and runs the scripts that limits are counted with.
async fn redis(survey: &mut Survey) {
    let Some(url) = survey.config.redis.url.clone() else { return };
    let outcome = match SharedCounters::open(&url, Clock::System) {
        Ok(redis) => redis.prove().await.map_err(|why| format!("does not count limits: {why}")),
        Err(why) => Err(format!("cannot be used: {why}")),
    };
    survey.faults.extend(outcome.err().map(|why| ConfigFault::new("redis.url", why)));
}

/// Providers are there, and take their keys.
async fn providers(survey: &mut Survey) -> Result<(), Failure> {
    let Some((live, _)) = survey.made.as_ref() else { return Ok(()) };
    let egress = boot::egress(&survey.config);
    let trust = Trust::new(&egress.authorities)?;
    let prober = Prober::new(&AttemptLimits::default(), &egress.proxies, &trust);
    let mut all: Vec<_> = live.catalogue.providers().collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    for provider in all {
        // Each of its keys, or without one.
        for key in 0..provider.keys.len().max(1) {
            let at = match provider.keys.len() {
                0 | 1 => format!("providers.{}", provider.id),
                _ => format!("providers.{} (key {key})", provider.id),
            };
            match prober.ask(provider, key, PATIENCE).await {
                Err(fault) => {
                    let base = &provider.base_url;
                    let why = format!("cannot be reached at {base}: {}", fault.message);
                    survey.faults.push(ConfigFault::new(at, why));
                }
                // A provider whose credential is made for each request says no to none.
                Ok(401 | 403) if !provider.keys.is_empty() && !exchanges(provider) => {
                    let fault = ConfigFault::new(at, "does not take the key that is set for it");
                    survey.faults.push(fault.remedied("set another key"));
                }
                Ok(status) => {
                    survey.notes.push(ConfigFault::new(at, format!("is there (status {status})")));
                }
            }
        }
    }
    Ok(())
}
