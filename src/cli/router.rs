//! `optimux router …`

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::house::house;
use super::print::say;
use super::replay::{kept, replay, sent};
use super::router_levels::ShowLevels;
use crate::base::clock::Clock;
use crate::base::money::Nanos;
use crate::boot::Failure;
use crate::learn::{
    Agreement, Cascaded, Data, Entry, HoldOut, Material, Rated, Recipe, agreement, by_neighbours,
    by_price, cascades, dailies, entries, left_out, picture, predict, promised, rated,
    read_predictions, table, train,
};
use crate::router::neural::{Vectors, Weights};
use crate::router::{AtDial, CandidatePool, Dial, Needs, Predictor, Promises, decide_auto};
use crate::wire::Inbound;
use crate::wire::vocab::{Dialect, Part, Request, Role, Turn};

#[derive(Debug, Subcommand)]
pub enum Router {
    /// Train a router from prompts with measured scores. The same rows and seed give the same file.
    Train {
        /// Newline-delimited JSON, gzip-compressed or not; a `models.json` beside it gives prices.
        #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
        data: Vec<PathBuf>,
        /// Everyday prompts that people have rated.
        #[arg(long, num_args = 1.., value_name = "FILE")]
        everyday: Vec<PathBuf>,
        /// Vectors of words; those of this build if not given.
        #[arg(long, value_name = "FILE")]
        words: Option<PathBuf>,
        /// Where the weights go.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// What decisions are labelled with.
        #[arg(long, default_value = "auto-2")]
        id: String,
    },
    /// Judge a router on prompts with measured scores, beside simpler ways to choose.
    Eval {
        #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
        data: Vec<PathBuf>,
        /// Everyday prompts that people have rated: how far the router agrees with them.
        #[arg(long, num_args = 1.., value_name = "FILE")]
        everyday: Vec<PathBuf>,
        /// Vectors of words to train with; those of this build if not given.
        #[arg(long, value_name = "FILE")]
        words: Option<PathBuf>,
        /// What `router train` wrote; what this build carries if not given, which is without single words.
        #[arg(long, value_name = "FILE")]
        weights: Option<PathBuf>,
        /// Writes {"id": …, "quality": {model: 0..1}} for every row and every model of the data.
        #[arg(long, value_name = "FILE")]
        predictions: Option<PathBuf>,
        /// Training rows, for the baseline of nearest neighbours.
        #[arg(long, num_args = 1.., value_name = "FILE")]
        known: Vec<PathBuf>,
        /// Judges routers trained without what they are judged on, from the data alone.
        #[arg(long)]
        leave_out: Option<HoldOutArg>,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// A folder for a picture of each source.
        #[arg(long, value_name = "FOLDER")]
        pictures: Option<PathBuf>,
        #[arg(long)]
        json: bool,
    },
    /// Show what other policies would have cost, and by the predictor delivered, on requests that
    /// were made. Asks nobody.
    Replay {
        /// Chat completion requests, a line each, as they were sent; "auto" or a model in each.
        #[arg(long, value_name = "FILE", required_unless_present = "features")]
        from: Option<PathBuf>,
        /// What a gateway has kept of requests of `auto` (`router.features`).
        #[arg(long, value_name = "FILE", conflicts_with = "from")]
        features: Option<PathBuf>,
        /// "auto", "auto:cheap", "auto:best", a dial from 0 to 1, or the name of a model.
        #[arg(long, required = true, num_args = 1.., value_name = "POLICY")]
        policy: Vec<String>,
        #[arg(long)]
        json: bool,
    },
    /// Measure what each dial keeps of the best model's good answers, at least, and write it for the next
    /// build: on predictions of `router eval --leave-out groups --predictions FILE`, and `domains` likewise.
    Promise {
        #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
        data: Vec<PathBuf>,
        /// What was predicted of each row without its question.
        #[arg(long, value_name = "FILE")]
        known: PathBuf,
        /// What was predicted of each row without all of its kind.
        #[arg(long, value_name = "FILE")]
        shifted: PathBuf,
        #[arg(long, value_name = "FILE")]
        weights: Option<PathBuf>,
        #[arg(long, default_value = "router-models/promises.json", value_name = "FILE")]
        out: PathBuf,
    },
    Levels(ShowLevels),
    /// Show how `auto` would choose for a prompt, without asking anybody.
    Explain {
        /// What the user says, if nothing else is said.
        #[arg(required_unless_present = "request")]
        prompt: Option<String>,
        /// A whole chat request, as it would be sent: system, tools, files; `-` reads it from the
        /// standard input.
        #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
        request: Option<PathBuf>,
        /// The dial, from 0 (cheap) to 1 (best).
        #[arg(long, default_value_t = 0.5)]
        quality: f64,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum HoldOutArg {
    /// A fifth of the questions at a time, everyday prompts among them.
    Groups,
    /// A fifth of the domains at a time.
    Domains,
    /// A source at a time.
    Sources,
}

impl Router {
    pub fn run(self, config: Option<&Path>) -> Result<(), Failure> {
        match self {
            Self::Train { data, everyday, words, out, seed, id } => {
                let (data, dailies) = (Data::read(&data)?, dailies(&everyday)?);
                let vectors = vectors(words.as_deref())?;
                let material = Material { data: &data, dailies: &dailies, vectors: &vectors };
                let weights = train(material, &Recipe::default(), &id, seed).to_bytes();
                std::fs::write(&out, &weights)?;
                say(&format!(
                    "{}: {} prompts, {} of everyday use, {} models, {} bytes",
                    out.display(),
                    data.rows.len(),
                    dailies.len(),
                    data.models.len(),
                    weights.len()
                ));
                Ok(())
            }
            Self::Eval {
                data,
                everyday,
                words,
                weights,
                predictions,
                known,
                leave_out,
                seed,
                pictures,
                json,
            } => {
                let (data, dailies) = (Data::read(&data)?, dailies(&everyday)?);
                let (predicted, ratings) = match leave_out {
                    None => {
                        let weights = carried(weights.as_deref())?;
                        (predict(&weights, &data), rated(&weights, &dailies))
                    }
                    Some(left) => {
                        let vectors = vectors(words.as_deref())?;
                        let material =
                            Material { data: &data, dailies: &dailies, vectors: &vectors };
                        left_out(material, left.into(), &Recipe::default(), seed)
                    }
                };
                if let Some(path) = predictions {
                    write_predictions(&path, &data, &predicted)?;
                }
                let mut judged = entries(&data, &predicted, "router");
                if let Some(folder) = pictures {
                    std::fs::create_dir_all(&folder)?;
                    for entry in judged.iter().filter(|entry| entry.domain.is_none()) {
                        std::fs::write(
                            folder.join(format!("{}.svg", entry.source)),
                            picture(entry),
                        )?;
                    }
                }
                judged.extend(entries(&data, &by_price(&data), "price"));
                if !known.is_empty() {
                    let known = Data::read(&known)?;
                    let near = by_neighbours(&carried(weights.as_deref())?, &known, &data);
                    judged.extend(entries(&data, &near, "neighbours"));
                }
                let order = |entry: &Entry| (entry.source.clone(), entry.domain.clone());
                judged.sort_by_key(order);
                tell(&judged, (!everyday.is_empty()).then_some(ratings.as_slice()), json)
            }
            Self::Promise { data, known, shifted, weights, out } => {
                let data = Data::read(&data)?;
                let known = read_predictions(&known, &data)?;
                let shifted = read_predictions(&shifted, &data)?;
                let promises = promised(&carried(weights.as_deref())?, &data, &known, &shifted);
                std::fs::write(&out, promises.to_text())?;
                say(&promise_table(&promises));
                say(&cascade_table(&cascades(&data, &known)));
                Ok(())
            }
            Self::Levels(levels) => levels.run(config),
            Self::Replay { from, features, policy, json } => {
                let requests = match (from, features) {
                    (Some(path), _) => sent(&path),
                    (None, path) => kept(&path.unwrap_or_default()),
                };
                replay(config, requests?, &policy, json)
            }
            Self::Explain { prompt, request, quality, json } => {
                let request = match request {
                    Some(path) => whole_request(&path)?,
                    None => spoken(prompt.unwrap_or_default()),
                };
                explain(config, &request, quality, json)
            }
        }
    }
}

impl From<HoldOutArg> for HoldOut {
    fn from(left: HoldOutArg) -> Self {
        match left {
            HoldOutArg::Groups => Self::Groups,
            HoldOutArg::Domains => Self::Domains,
            HoldOutArg::Sources => Self::Sources,
        }
    }
}

/// The weights of a file, or those that this build carries.
fn carried(path: Option<&Path>) -> Result<Weights, Failure> {
    Ok(match path {
        Some(path) => Weights::from_bytes(&std::fs::read(path)?)?,
        None => Predictor::builtin()?,
    })
}

fn vectors(path: Option<&Path>) -> Result<Vectors, Failure> {
    Ok(match path {
        Some(path) => Vectors::from_bytes(&std::fs::read(path)?)?,
        None => Vectors(Predictor::builtin()?.vectors),
    })
}

/// Prints what was judged; of everyday prompts only if there are any.
fn tell(judged: &[Entry], ratings: Option<&[Rated]>, json: bool) -> Result<(), Failure> {
    let agreed = ratings.map(agreement);
    if json {
        say(&match agreed {
            None => serde_json::to_string(judged)?,
            Some(agreed) => json!({
                "pools": judged, "everyday": agreed, "rated": ratings,
            })
            .to_string(),
        });
        return Ok(());
    }
    say(&table(judged));
    if let Some(Agreement { prompts, need, length, think, off, within_one, everyday }) = agreed {
        say(&format!(
            "{prompts} everyday prompts: rank correlation of need {need:.3}, of length {length:.3}, \
             of thinking {think:.3}; need off by {off:.2}, within one step {:.0}%; taken for \
             everyday {:.0}%",
            100.0 * within_one,
            100.0 * everyday,
        ));
    }
    Ok(())
}

/// What the dials keep, a line a group.
fn promise_table(promises: &Promises) -> String {
    let mut table = String::from(
        "| group | prompts | kept by `auto:cheap` / `auto` / `auto:best` | at least | of a kind never seen | at least |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, group) in &promises.groups {
        let shares = |all: &[AtDial], of: fn(&AtDial) -> f64| {
            let shares = all.iter().map(|one| format!("{:.1}", of(one) * 100.0));
            shares.collect::<Vec<String>>().join(" / ")
        };
        let (kept, least) = (|one: &AtDial| one.kept, |one: &AtDial| one.least);
        // Writing to a String cannot fail.
        let _infallible = std::fmt::Write::write_fmt(
            &mut table,
            format_args!(
                "| {name} | {} | {} | {} | {} | {} |\n",
                group.known.first().map_or(0, |one| one.prompts),
                shares(&group.known, kept),
                shares(&group.known, least),
                shares(&group.shifted, kept),
                shares(&group.shifted, least),
            ),
        );
    }
    table
}

/// What cascades would be worth, a line a source.
fn cascade_table(all: &[(String, Vec<Cascaded>)]) -> String {
    let mut table = String::from(
        "| source | prompts | `auto:cheap` | `auto:best` | checkers: good answers, cost of the best's, gone up |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for (source, checkers) in all {
        let Some(first) = checkers.first() else { continue };
        let (cheap, best) = (first.cheap, first.best);
        let shares = checkers.iter().map(|one| {
            format!(
                "{:.0}%: {:.3}, {:.0}%, {:.0}%",
                one.checker * 100.0,
                one.quality,
                one.cost / best.1.max(f64::MIN_POSITIVE) * 100.0,
                one.up * 100.0
            )
        });
        // Writing to a String cannot fail.
        let _infallible = std::fmt::Write::write_fmt(
            &mut table,
            format_args!(
                "| {source} | {} | {:.3}, {:.0}% | {:.3} | {} |\n",
                first.prompts,
                cheap.0,
                cheap.1 / best.1.max(f64::MIN_POSITIVE) * 100.0,
                best.0,
                shares.collect::<Vec<String>>().join("; ")
            ),
        );
    }
    table
}

fn write_predictions(path: &Path, data: &Data, predicted: &[Vec<f64>]) -> Result<(), Failure> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    for (row, quality) in data.rows.iter().zip(predicted) {
        let quality: BTreeMap<&String, &f64> = data.models.iter().zip(quality).collect();
        writeln!(out, "{}", json!({"id": row.id, "quality": quality}))?;
    }
    out.flush()?;
    Ok(())
}

/// A request of a prompt alone.
fn spoken(text: String) -> Request {
    let turns = vec![Turn::new(Role::User, vec![Part::text(text)])];
    Request { turns, ..Request::default() }
}

/// A chat request of a file, or of the standard input. It need not name a model.
fn whole_request(path: &Path) -> Result<Request, Failure> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())?
    } else {
        std::fs::read_to_string(path)?
    };
    let mut body: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)?;
    body.entry("model").or_insert_with(|| "auto".into());
    chat(&serde_json::Value::Object(body))
}

/// Reads a chat request.
fn chat(body: &serde_json::Value) -> Result<Request, Failure> {
    let inbound = Inbound::arrive(Dialect::OpenAiChat, body.to_string().into(), None)
        .map_err(|why| why.to_string())?;
    Ok(inbound.request().map_err(|why| why.to_string())?.clone())
}

fn explain(
    config: Option<&Path>,
    request: &Request,
    quality: f64,
    json: bool,
) -> Result<(), Failure> {
    let dial = Dial::new(quality).ok_or("--quality has to be from 0 to 1")?;
    let (catalogue, predictor) = house(config)?;
    let choice = CandidatePool::of_all(&catalogue, &predictor, Clock::System.now());
    let demand = predictor.demand(request);
    let decision = decide_auto(dial.into(), &Needs::of(request), &demand, &choice)
        .map_err(|error| error.to_string())?;
    let explanation = decision.explanation.ok_or("a decision of auto explains itself")?;
    let told = explanation.told(&catalogue, &predictor);
    if json {
        say(&serde_json::to_string(&told)?);
        return Ok(());
    }
    say(&format!(
        "{} (dial {}): difficulty {:.2}, ease {:+.2} ±{:.2}, takes class {:.1} of 5, thought {:.1} of 2, \
         novelty {:.2}, some {} tokens, floor {:.0}% of the best",
        told.router,
        told.dial,
        told.difficulty,
        told.ease,
        told.unsure,
        told.need,
        told.thinking,
        told.novelty,
        told.input_tokens,
        told.floor * 100.0
    ));
    say(&told.in_words);
    if let Some(promise) = &told.promise {
        say(&format!(
            "Of prompts as of {} that the best candidate answers well, this dial keeps at least {:.0}%, with \
             a confidence of {:.0}% ({} prompts{})",
            promise.group,
            promise.least * 100.0,
            promise.confidence * 100.0,
            promise.prompts,
            if promise.shifted { "; it is unlike those that training saw" } else { "" }
        ));
    }
    for one in &told.kept {
        say(&format!(
            "{:32} {:14} {:8} {:8} quality {:.3}  ${:.6}  {:5} tokens  {}; level {:.2} ±{:.2} {}",
            one.model,
            one.provider,
            one.tier,
            one.effort.unwrap_or("-"),
            one.quality,
            Nanos(one.expected_cost_nano_usd.unwrap_or(0)).as_usd(),
            one.expected_output_tokens,
            one.verdict,
            one.level,
            one.level_sd,
            one.rests_on
        ));
    }
    for one in &told.rejected {
        say(&format!("{:32} rejected: {}", one.model, one.reason));
    }
    Ok(())
}
