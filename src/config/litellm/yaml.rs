//! YAML as far as it is read here: tables that are taken apart, so that what is left was not read.

use yaml_rust2::{Yaml, YamlLoader};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it is no YAML: {0}")]
    Yaml(String),
    #[error("it is no configuration of LiteLLM: a table with a 'model_list' is wanted")]
    Table,
}

/// A table, of which what has been read is gone.
#[derive(Debug, Default)]
pub struct Table(Vec<(String, Yaml)>);

impl Table {
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let all =
            YamlLoader::load_from_str(text).map_err(|why| Unreadable::Yaml(why.to_string()))?;
        match all.into_iter().next() {
            Some(yaml @ Yaml::Hash(_)) => Ok(Self::of(yaml)),
            _ => Err(Unreadable::Table),
        }
    }

    fn of(yaml: Yaml) -> Self {
        let Yaml::Hash(hash) = yaml else { return Self::default() };
        Self(hash.into_iter().filter_map(|(name, value)| Some((text(&name)?, value))).collect())
    }

    fn take(&mut self, name: &str) -> Option<Yaml> {
        let place = self.0.iter().position(|(one, _)| one == name)?;
        Some(self.0.remove(place).1).filter(|value| !value.is_null())
    }

    /// These are of no use here.
    pub fn drop(&mut self, names: &[&str]) {
        self.0.retain(|(one, _)| !names.contains(&one.as_str()));
    }

    pub fn text(&mut self, name: &str) -> Option<String> {
        self.take(name).as_ref().and_then(text)
    }

    pub fn number(&mut self, name: &str) -> Option<f64> {
        self.text(name)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
    }

    pub fn truth(&mut self, name: &str) -> Option<bool> {
        self.take(name)?.as_bool()
    }

    pub fn table(&mut self, name: &str) -> Self {
        self.take(name).map(Self::of).unwrap_or_default()
    }

    /// The tables of a list.
    pub fn tables(&mut self, name: &str) -> Vec<Self> {
        let list = self.take(name).and_then(Yaml::into_vec).unwrap_or_default();
        list.into_iter().map(Self::of).collect()
    }

    /// The texts of a list.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let list = self.take(name).and_then(Yaml::into_vec).unwrap_or_default();
        list.iter().filter_map(text).collect()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The members that are texts.
    pub fn texts(self) -> Vec<(String, String)> {
        self.0.into_iter().filter_map(|(name, value)| Some((name, text(&value)?))).collect()
    }
}

/// A single value as text.
fn text(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The variable that a value names.
pub(super) fn environment(value: &str) -> Option<String> {
    let name = value.strip_prefix("os.environ/")?;
    let plain = |one: char| one.is_ascii_alphanumeric() || one == '_';
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
}
