//! Reading the configuration: a file, then the environment over it, with every fault found at once.

use std::path::Path;

use figment::error::{Actual, Error, Kind};
use figment::value::{Dict, Value};

use super::Config;
use super::fault::{ConfigFault, Faults, nearest};
use crate::catalogue::text;

/// The file that is read where no other is named.
const USUAL_FILE: &str = "optimux.toml";
/// Variables of this prefix with `__` in their names are settings.
const PREFIX: &str = "OPTIMUX_";

/// A setting in a variable of the environment.
struct Variable {
    name: String,
    /// Where the setting is in the configuration.
    path: Vec<String>,
    /// Without blanks and line ends around it: a file that a value was read from often ends in one.
    text: String,
}

/// The file that is read: `file`, or `optimux.toml` where there is one.
#[must_use]
pub fn found(file: Option<&Path>) -> Option<&Path> {
    file.or_else(|| Some(Path::new(USUAL_FILE)).filter(|file| file.exists()))
}

/// Reads `file`, or `optimux.toml` where there is one, then `OPTIMUX_SECTION__KEY` variables.
///
/// # Errors
/// Every fault of the file and the variables, each with the line or the name where it is.
pub fn read(file: Option<&Path>) -> Result<Config, Faults> {
    let file = match file {
        Some(file) if !file.exists() => {
            let why = "there is no such configuration file";
            return Err(ConfigFault::new(file.display().to_string(), why).into());
        }
        file => found(file),
    };
    let mut written = String::new();
    let name = file.map(|file| file.display().to_string()).unwrap_or_default();
    if let Some(file) = file {
        written = std::fs::read_to_string(file)
            .map_err(|why| ConfigFault::new(&name, format!("cannot be read: {why}")))?;
    }
    let environment = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    settled(&name, &written, environment)
}

/// What a file's text and the variables come to.
fn settled(
    file: &str,
    written: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, Faults> {
    let mut tree: Dict =
        text::read(written).map_err(|why| Faults::from(ConfigFault::new(file, why.to_string())))?;
    let mut faults = Vec::new();
    let mut variables = Vec::new();
    for (name, text) in environment {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| rest.contains("__")) else {
            continue;
        };
        let path: Vec<String> = rest.to_lowercase().split("__").map(str::to_owned).collect();
        let text = text.trim().to_owned();
        // A number looks like one; where a text is wanted it becomes one again below.
        let value: Value = match text.parse() {
            Ok(value) => value,
            Err(never) => match never {},
        };
        if !put(&mut tree, &path, value) {
            faults.push(ConfigFault::new(
                &name,
                "lies inside a setting that is a value, not a table",
            ));
        }
        variables.push(Variable { name, path, text });
    }
    // What is wrong is taken out, and the rest read again: so all that is wrong is found. Each turn
    // takes out or mends a value, so that there is an end.
    loop {
        let error = match Value::from(tree.clone()).deserialize::<Config>() {
            Ok(config) if faults.is_empty() => return Ok(config),
            Ok(_) => return Err(Faults(faults)),
            Err(error) => error,
        };
        let mut path = error.path.clone();
        if let Kind::UnknownField(field, _) = &error.kind
            && path.last() != Some(field)
        {
            path.push(field.clone());
        }
        let variable = variables.iter().find(|one| path.starts_with(&one.path));
        if let Some(variable) = variable
            && let Some(value) = as_wanted(&error.kind, &variable.text)
            && path == variable.path
            && find(&mut tree, &path).is_some_and(|now| !same_kind(now, &value))
            && put(&mut tree, &path, value)
        {
            continue;
        }
        let at = match variable {
            Some(variable) => variable.name.clone(),
            None => place(file, written, &path),
        };
        // Members that are missing because they were taken out for another fault are no news.
        let known = faults.iter().any(|fault: &ConfigFault| fault.at == at);
        let missing = matches!(error.kind, Kind::MissingField(_));
        if !(known && missing) {
            faults.push(fault(at, &error, variable.is_none()));
        }
        if !take_out(&mut tree, &path) {
            return Err(Faults(faults));
        }
    }
}

/// The text of a variable as what is wanted, where it looked like something else.
fn as_wanted(kind: &Kind, text: &str) -> Option<Value> {
    let Kind::InvalidType(_, wanted) = kind else { return None };
    if wanted.contains("string") {
        return Some(Value::from(text));
    }
    if wanted.contains("sequence") {
        let all: Vec<Value> = text.split(',').map(|one| Value::from(one.trim())).collect();
        return Some(Value::from(all));
    }
    None
}

fn same_kind(one: &Value, other: &Value) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

fn fault(at: String, error: &Error, in_file: bool) -> ConfigFault {
    let list = |all: &[&str]| all.join(", ");
    match &error.kind {
        Kind::UnknownField(name, known) => {
            let fault = ConfigFault::new(at, format!("there is no setting '{name}'"));
            match nearest(name, known.iter().copied()) {
                Some(near) => fault.remedied(format!("did you mean '{near}'?")),
                None => fault.remedied(format!("there are {}", list(known))),
            }
        }
        Kind::UnknownVariant(word, known) => {
            let fault = ConfigFault::new(at, format!("'{word}' is not one of {}", list(known)));
            match nearest(word, known.iter().copied()) {
                Some(near) => fault.remedied(format!("did you mean '{near}'?")),
                None => fault,
            }
        }
        Kind::InvalidType(found, wanted) => {
            let fault = ConfigFault::new(at, format!("is {found}, and has to be {wanted}"));
            let text = wanted.contains("string") && !matches!(found, Actual::Str(_));
            if text && in_file { fault.remedied("write it in quotes") } else { fault }
        }
        other => ConfigFault::new(at, other.to_string()),
    }
}

/// Where in the file a setting is: its name, and its line where that is known.
fn place(file: &str, written: &str, path: &[String]) -> String {
    let name = path.join(".");
    match (text::line_of(written, path), name.is_empty()) {
        (_, true) => file.to_owned(),
        (Some(line), _) => format!("{file}:{line}: {name}"),
        (None, _) => format!("{file}: {name}"),
    }
}

fn find<'a>(tree: &'a mut Dict, path: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    let mut value = tree.get_mut(first)?;
    for name in rest {
        value = match value {
            Value::Dict(_, inner) => inner.get_mut(name)?,
            Value::Array(_, all) => all.get_mut(name.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// Puts a value in its place, making the tables around it; `false` where there is no table.
fn put(tree: &mut Dict, path: &[String], value: Value) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    if rest.is_empty() {
        tree.insert(first.clone(), value);
        return true;
    }
    match tree.entry(first.clone()).or_insert_with(|| Value::from(Dict::new())) {
        Value::Dict(_, inner) => put(inner, rest, value),
        Value::Array(_, all) => {
            let index = rest.first().and_then(|name| name.parse::<usize>().ok());
            match (index.and_then(|index| all.get_mut(index)), rest.get(1..)) {
                (Some(place), Some([])) => {
                    *place = value;
                    true
                }
                (Some(Value::Dict(_, inner)), Some(rest)) => put(inner, rest, value),
                _ => false,
            }
        }
        _ => false,
    }
}

/// Takes a value out; `false` where it is not there. An element of a list goes whole.
fn take_out(tree: &mut Dict, path: &[String]) -> bool {
    let Some((last, before)) = path.split_last() else { return false };
    if before.is_empty() {
        return tree.remove(last).is_some();
    }
    match find(tree, before) {
        Some(Value::Dict(_, inner)) => match inner.remove(last) {
            Some(_) => true,
            // A missing member: the table without it cannot stay.
            None => take_out(tree, before),
        },
        Some(Value::Array(_, all)) => match last.parse::<usize>() {
            Ok(index) if index < all.len() => {
                all.remove(index);
                true
            }
            _ => false,
        },
        _ => take_out(tree, before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_both(written: &str, variables: &[(&str, &str)]) -> Result<Config, Faults> {
        let variables = variables.iter().map(|(name, text)| ((*name).into(), (*text).into()));
        settled("optimux.toml", written, variables)
    }

    #[test]
    fn the_examples_are_configurations() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let mut read = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                let written = std::fs::read_to_string(&path).unwrap();
                let faults = read_both(&written, &[]).err();
                assert!(faults.is_none(), "{}: {faults:?}", path.display());
                read += 1;
            }
        }
        assert!(read >= 3);
    }

    #[test]
    fn text_settings_take_text_that_looks_like_something_else() {
        for text in ["12345", "007", "1e5", "true", "nan", "-3.50", "0x1F", "[1]", "{a=1}"] {
            let variables = [
                ("OPTIMUX_PROVIDERS__HOUSE__HEADERS__X_ORG", text),
                ("OPTIMUX_PROVIDERS__HOUSE__NAME", text),
                ("OPTIMUX_STORE__URL", text),
                ("OPTIMUX_SERVER__PUBLIC_URL", text),
                ("OPTIMUX_ADMIN__KEY_ENV", text),
            ];
            let config = read_both("", &variables).unwrap();
            let house = &config.providers["house"];
            assert_eq!(house.headers["x_org"], text);
            assert_eq!(house.name.as_deref(), Some(text));
            assert_eq!(config.store.url, text);
            assert_eq!(config.server.public_url.as_deref(), Some(text));
            assert_eq!(config.admin.key_env.as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_text_is_read_as_what_it_is() {
        let config = read_both(
            "[server]\nworkers = 9\n",
            &[
                ("OPTIMUX_SERVER__WORKERS", "3\n"),
                ("OPTIMUX_SERVER__STRICT", " true "),
                ("OPTIMUX_SERVER__REQUEST_TIMEOUT", "5"),
                ("OPTIMUX_SERVER__CORS_ORIGINS", "https://a.example, https://b.example"),
                ("OPTIMUX_STORE__URL", "postgres://u:p@h/d\r\n"),
                ("OPTIMUX_ROUTER__EXPLORE", "0.5"),
            ],
        )
        .unwrap();
        assert_eq!((config.server.workers, config.server.strict), (Some(3), true));
        assert_eq!(config.server.request_timeout.0.as_secs(), 5);
        assert_eq!(config.server.cors_origins, ["https://a.example", "https://b.example"]);
        assert_eq!(config.store.url, "postgres://u:p@h/d");
        assert!((config.router.explore - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn every_fault_is_found_in_one_run_with_its_place_and_a_remedy() {
        let written = "[server]\nlisten = 8080\nwokers = 2\n\n[providers.house]\n\
                       dialect = \"openai\"\n\n[[models]]\nid = \"a\"\ntier = \"midd\"\n\
                       [ledger]\ndurability = \"proces\"\n";
        let faults = read_both(
            written,
            &[("OPTIMUX_SERVER__WORKERS", "many"), ("OPTIMUX_SERVER__STRIKT", "true")],
        )
        .unwrap_err()
        .0;
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        for (place, words) in [
            ("optimux.toml:2: server.listen", "write it in quotes"),
            ("optimux.toml:3: server.wokers", "did you mean 'workers'?"),
            ("optimux.toml:6: providers.house.dialect", "openai-chat"),
            ("models.0.tier", "did you mean 'mid'?"),
            ("optimux.toml:12: ledger.durability", "did you mean 'process'?"),
            ("OPTIMUX_SERVER__WORKERS", "many"),
            ("OPTIMUX_SERVER__STRIKT", "did you mean 'strict'?"),
        ] {
            let found = told.iter().any(|one| one.contains(place) && one.contains(words));
            assert!(found, "{place} {words}: {told:#?}");
        }
        assert_eq!(told.len(), 7, "{told:#?}");
    }

    #[test]
    fn what_is_no_toml_is_shown_with_its_line() {
        let fault = read_both("[server]\nlisten = \n", &[]).unwrap_err().to_string();
        assert!(fault.contains("line 2"), "{fault}");
    }
}
