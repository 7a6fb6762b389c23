//! `optimux router levels …`

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::everyday::everyday;
use super::print::say;
use crate::boot::Failure;
use crate::catalogue::{ApiKey, Catalogue, Sources, builtin, load};
use crate::learn::Data;
use crate::learn::figures::{check, fit, fit_subjects, read, read_rated};
use crate::router::levels::{Level, Levels};
use crate::router::{Predictor, neural::Weights};

/// Show what each model's level rests on; fit levels anew; check how well figures tell scores.
#[derive(Debug, Args)]
pub struct ShowLevels {
    /// One model; all if not given.
    model: Option<String>,
    /// Fit levels to the figures and write them.
    #[arg(long, conflicts_with_all = ["model", "validate"])]
    fit: bool,
    /// Rows with measured scores: models are left out with their families, and told from figures.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    validate: Vec<PathBuf>,
    /// Everyday prompts: where each dial sends them, and how far from the best. With `--fit`, what
    /// prompts are about is fitted to what people said of these.
    #[arg(long, value_name = "FILE")]
    everyday: Option<PathBuf>,
    /// Public figures, one a line.
    #[arg(long, default_value = "router-models/figures.jsonl", value_name = "FILE")]
    figures: PathBuf,
    /// The weights whose scale levels are laid on; what this build carries if not given.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Where levels go.
    #[arg(long, default_value = "router-models/levels.json", value_name = "FILE")]
    out: PathBuf,
    /// Where it goes what prompts are about.
    #[arg(long, default_value = "router-models/subjects.json", value_name = "FILE")]
    subjects: PathBuf,
    #[arg(long)]
    json: bool,
}

/// Every model of the files that this build carries, as if all providers had a key: levels do not
/// depend on who has which.
fn whole_catalogue() -> Result<Catalogue, Failure> {
    let mut sources = Sources { files: builtin()?, ..Sources::default() };
    for file in &sources.files {
        if let Some(id) = file.id.clone() {
            sources.keys.insert(id, vec![ApiKey::new("k".into(), 1.0)]);
        }
    }
    load(sources).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        lines.join("\n").into()
    })
}

impl ShowLevels {
    pub fn run(self, config: Option<&Path>) -> Result<(), Failure> {
        if self.fit
            && let Some(path) = &self.everyday
        {
            let (subjects, told) = fit_subjects(&read_rated(path)?, &self.weights()?);
            std::fs::write(&self.subjects, subjects.to_text())?;
            for (leaning, share) in told {
                say(&format!("{leaning:?} is told from words on {:.0}% of pairs", share * 100.0));
            }
            return Ok(());
        }
        if let Some(path) = &self.everyday {
            return everyday(config, path, self.json);
        }
        if self.fit {
            let levels = fit(&read(&self.figures)?, &self.weights()?, &whole_catalogue()?);
            std::fs::write(&self.out, levels.to_text())?;
            let scale = &levels.scale;
            say(&format!(
                "{}: {} models; level = {} + {} x factor, less above {}; {} models with both, rank correlation {}",
                self.out.display(),
                levels.models.len(),
                scale.intercept,
                scale.slope,
                scale.bend,
                scale.anchors,
                scale.rank_correlation
            ));
            return Ok(());
        }
        if !self.validate.is_empty() {
            return self.check();
        }
        self.show()
    }

    fn weights(&self) -> Result<Weights, Failure> {
        Ok(match &self.weights {
            Some(path) => Weights::from_bytes(&std::fs::read(path)?)?,
            None => Predictor::builtin()?,
        })
    }

    fn check(&self) -> Result<(), Failure> {
        let checked = check(&read(&self.figures)?, &Data::read(&self.validate)?);
        if self.json {
            say(&serde_json::to_string(&checked)?);
            return Ok(());
        }
        for one in &checked {
            for outcome in &one.outcomes {
                say(&format!(
                    "{:10} {:3} models by {:8} rank correlation {:.3}, off by {:.3}",
                    one.group, one.models, outcome.by, outcome.rank_correlation, outcome.off
                ));
            }
        }
        Ok(())
    }

    fn show(&self) -> Result<(), Failure> {
        let levels = Levels::builtin()?;
        let mut shown: Vec<(&String, &Level)> = levels
            .models
            .iter()
            .filter(|(name, _)| self.model.as_ref().is_none_or(|model| model == *name))
            .collect();
        if shown.is_empty() {
            return Err("there is no level of that model".into());
        }
        if self.json {
            let all: serde_json::Map<String, serde_json::Value> = shown
                .iter()
                .map(|(name, level)| {
                    let words = level.rests_on.to_string();
                    ((*name).clone(), json!({"level": level, "in_words": words}))
                })
                .collect();
            say(&serde_json::to_string(&all)?);
            return Ok(());
        }
        shown.sort_by(|one, other| other.1.level.total_cmp(&one.1.level));
        for (name, level) in shown {
            let efforts: Vec<String> = level
                .efforts
                .iter()
                .map(|(effort, by)| format!("{} {:+.2}", effort.as_str(), by))
                .collect();
            say(&format!(
                "{name:34} {:5.2} ±{:.2}  {:48} {}",
                level.level,
                level.sd,
                level.rests_on.to_string(),
                efforts.join(", ")
            ));
            if self.model.is_some() {
                Self::details(level);
            }
        }
        Ok(())
    }

    fn details(level: &Level) {
        if let crate::router::levels::RestsOn::Figures { strongest, .. } = &level.rests_on {
            for (benchmark, value) in strongest {
                say(&format!("  {benchmark}: {value}"));
            }
        }
        for (leaning, by) in &level.leanings {
            say(&format!("  {leaning:?}: {by:+.2}").to_lowercase());
        }
        if let Some(name) = &level.skills_of {
            say(&format!("  skills as measured of {name}"));
        }
    }
}
