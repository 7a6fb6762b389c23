//! Real traffic of real providers against the codecs: nothing a dialect says may be lost when it
//! is decoded and written in the same dialect again, whatever the cuts between chunks.

mod bedrock;
mod cited;
mod conforming;
mod fold;
mod gist;
mod hostile;
mod same;
mod strict;
mod translate;
mod usage;
mod vectors;

use std::io::Read;
use std::path::PathBuf;

use optimux::wire::vocab::Dialect;
use serde_json::Value;

/// One recorded exchange.
pub struct Row {
    pub id: String,
    pub api: Dialect,
    pub request: Option<Value>,
    pub status: u16,
    pub body: Option<Value>,
    pub stream: Option<String>,
}

/// Every recording of the dialects that have a codec.
pub fn rows() -> Vec<Row> {
    let rows: Vec<Row> = lines().iter().filter_map(row).collect();
    assert!(rows.len() > 1_500, "the recordings are missing: {} rows", rows.len());
    rows
}

/// Every recording there is.
pub fn lines() -> Vec<Value> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut files: Vec<PathBuf> = [root.clone(), root.join("answers")]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "gz"))
        .collect();
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        let mut text = String::new();
        flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        rows.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    rows
}

fn row(row: &Value) -> Option<Row> {
    let api = match row["api"].as_str()? {
        "chat" => Dialect::OpenAiChat,
        "responses" => Dialect::OpenAiResponses,
        "messages" => Dialect::Anthropic,
        "gemini" => Dialect::Gemini,
        _ => return None,
    };
    let response = &row["response"];
    Some(Row {
        id: row["id"].as_str()?.to_owned(),
        api,
        request: row.pointer("/request/body").filter(|body| body.is_object()).cloned(),
        status: u16::try_from(response["status"].as_u64().unwrap_or(200)).unwrap(),
        body: response.get("body").filter(|body| !body.is_null()).cloned(),
        stream: response.get("text").and_then(Value::as_str).map(str::to_owned),
    })
}

/// The first difference between two values, as a path and both sides.
pub fn difference(ours: &Value, theirs: &Value, path: &str) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, value) in b {
                match a.get(name) {
                    Some(other) => {
                        if let Some(found) = difference(other, value, &format!("{path}.{name}")) {
                            return Some(found);
                        }
                    }
                    None => return Some(format!("{path}.{name} lost: {}", cut(value))),
                }
            }
            a.iter()
                .find(|(name, _)| !b.contains_key(*name))
                .map(|(name, value)| format!("{path}.{name} added: {}", cut(value)))
        }
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                return Some(format!(
                    "{path}: {} items instead of {}: {} | {}",
                    a.len(),
                    b.len(),
                    cut(ours),
                    cut(theirs)
                ));
            }
            a.iter()
                .zip(b)
                .enumerate()
                .find_map(|(index, (a, b))| difference(a, b, &format!("{path}[{index}]")))
        }
        _ if ours == theirs => None,
        _ => Some(format!("{path}: {} instead of {}", cut(ours), cut(theirs))),
    }
}

fn cut(value: &Value) -> String {
    value.to_string().chars().take(120).collect()
}

/// Fails with every finding at once.
pub fn report(what: &str, checked: usize, findings: &[String]) {
    assert!(checked > 0, "nothing was checked");
    let shown: Vec<&String> = findings.iter().take(40).collect();
    assert!(findings.is_empty(), "{what}: {} of {checked}: {shown:#?}", findings.len());
}
