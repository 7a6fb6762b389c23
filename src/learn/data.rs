//! Prompts with measured scores of models: newline-delimited JSON, gzip-compressed or plain.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("{} cannot be read: {why}", path.display())]
    Read { path: PathBuf, why: io::Error },
    #[error("{}:{line}: {why}", path.display())]
    Row { path: PathBuf, line: usize, why: String },
    #[error("there are no rows")]
    Empty,
}

/// What one model made of a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Its index in [`Data::models`].
    pub model: usize,
    /// From 0, wrong, to 1, right.
    pub score: f32,
    pub tokens_out: Option<f32>,
    pub cost_usd: Option<f64>,
}

/// A prompt, and what the models made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub id: String,
    /// Its index in [`Data::sources`].
    pub source: usize,
    pub domain: String,
    pub prompt: String,
    pub tokens_in: f32,
    /// The question without its wrapping: rows of one group are the same question.
    pub group: u64,
    pub cells: Vec<Cell>,
}

/// The list price of a model in the training data, and its tier.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct ListPrice {
    /// USD per million tokens.
    pub price_in: Option<f64>,
    pub price_out: Option<f64>,
    pub tier: Option<String>,
}

/// Everything that was read.
#[derive(Debug, Clone, Default)]
pub struct Data {
    pub rows: Vec<Row>,
    pub sources: Vec<String>,
    pub models: Vec<String>,
    pub prices: BTreeMap<String, ListPrice>,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    domain: String,
    prompt: String,
    #[serde(default)]
    scores: BTreeMap<String, f32>,
    #[serde(default)]
    cost_usd: HashMap<String, f64>,
    #[serde(default)]
    tokens_out: HashMap<String, f32>,
    tokens_in: Option<f32>,
    group: Option<String>,
}

/// A model may say "null" where nothing is known of it.
fn place(names: &mut Vec<String>, places: &mut HashMap<String, usize>, name: &str) -> usize {
    if let Some(place) = places.get(name) {
        return *place;
    }
    names.push(name.to_owned());
    places.insert(name.to_owned(), names.len() - 1);
    names.len() - 1
}

/// The same for one question, however it is wrapped: its first words, without case and marks.
pub(super) fn group(prompt: &str) -> u64 {
    let mut start = prompt.trim_start();
    for lead in ["Question:", "\"\"\"", "\u{feff}"] {
        start = start.strip_prefix(lead).unwrap_or(start).trim_start();
    }
    let bare = start.chars().filter(|one| one.is_alphanumeric()).take(100);
    bare.flat_map(char::to_lowercase).fold(0xCBF2_9CE4_8422_2325_u64, |hash, one| {
        (hash ^ u64::from(u32::from(one))).wrapping_mul(0x0100_0000_01B3)
    })
}

fn lines(path: &Path) -> Result<BufReader<Box<dyn Read>>, io::Error> {
    let file = File::open(path)?;
    let packed = path.extension().is_some_and(|end| end == "gz");
    let inner: Box<dyn Read> =
        if packed { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) };
    Ok(BufReader::new(inner))
}

/// Every line of a file of newline-delimited JSON.
pub(super) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, DataError> {
    let unreadable = |why| DataError::Read { path: path.to_owned(), why };
    let mut read = Vec::new();
    for (number, line) in lines(path).map_err(unreadable)?.lines().enumerate() {
        let line = line.map_err(unreadable)?;
        if line.trim().is_empty() {
            continue;
        }
        read.push(serde_json::from_str(&line).map_err(|why| DataError::Row {
            path: path.to_owned(),
            line: number + 1,
            why: why.to_string(),
        })?);
    }
    Ok(read)
}

impl Data {
    /// Reads files of rows, and the `models.json` that lies beside any of them.
    ///
    /// # Errors
    /// [`DataError`] for a file that cannot be read, a line that is no row, and for no rows at all.
    pub fn read(paths: &[PathBuf]) -> Result<Self, DataError> {
        let mut data = Self::default();
        let (mut sources, mut models) = (HashMap::new(), HashMap::new());
        for path in paths {
            data.read_prices(path)?;
            for line in read_lines(path)? {
                data.add(line, &mut sources, &mut models);
            }
        }
        if data.rows.is_empty() { Err(DataError::Empty) } else { Ok(data) }
    }

    fn add(
        &mut self,
        line: Line,
        sources: &mut HashMap<String, usize>,
        models: &mut HashMap<String, usize>,
    ) {
        let source = place(&mut self.sources, sources, &line.source);
        let cells = line
            .scores
            .iter()
            .filter(|(_, score)| score.is_finite())
            .map(|(name, score)| Cell {
                model: place(&mut self.models, models, name),
                score: score.clamp(0.0, 1.0),
                tokens_out: line.tokens_out.get(name).copied(),
                cost_usd: line.cost_usd.get(name).copied(),
            })
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "the length of a prompt")]
        let guessed = line.prompt.chars().count() as f32 / 4.0;
        self.rows.push(Row {
            id: line.id,
            source,
            domain: line.domain,
            tokens_in: line.tokens_in.unwrap_or(guessed),
            group: group(line.group.as_deref().unwrap_or(&line.prompt)),
            prompt: line.prompt,
            cells,
        });
    }

    fn read_prices(&mut self, rows: &Path) -> Result<(), DataError> {
        let folder = rows.parent().unwrap_or(Path::new("."));
        for path in [folder.join("models.json"), folder.join("extra/models.json")] {
            if !path.is_file() {
                continue;
            }
            let unreadable = |why| DataError::Read { path: path.clone(), why };
            let text = std::fs::read_to_string(&path).map_err(unreadable)?;
            let list: BTreeMap<String, ListPrice> =
                serde_json::from_str(&text).map_err(|why| unreadable(io::Error::other(why)))?;
            self.prices.extend(list);
        }
        Ok(())
    }

    /// Those rows alone, with the names of all.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Row) -> bool) -> Self {
        Self {
            rows: self.rows.iter().filter(|row| keep(row)).cloned().collect(),
            sources: self.sources.clone(),
            models: self.models.clone(),
            prices: self.prices.clone(),
        }
    }
}

/// What is predicted of every model on every row.
pub type Predictions = Vec<Vec<f64>>;
