//! The published list as it is written. Members that we do not use are not named here, and new
//! ones do no harm.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::catalogue::fault::CatalogueFault;

/// The list, whole.
#[derive(Debug, Deserialize)]
pub struct List {
    /// The day it was made, as `2026-11-25`.
    pub generated: String,
    #[serde(default)]
    pub holidays: BTreeMap<String, Calendar>,
    #[serde(default)]
    pub providers: Vec<Provider>,
    #[serde(default)]
    pub seed_names: Vec<Seed>,
    #[serde(skip)]
    pub models: Vec<Model>,
}

#[derive(Debug, Deserialize)]
pub struct Calendar {
    pub dates: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct Provider {
    pub id: String,
    pub name: String,
    pub base_url: String,
    #[serde(default)]
    pub env: Vec<String>,
    #[serde(default)]
    pub dialects: Vec<String>,
}

/// A name that must stay askable, and what answers for it one day.
#[derive(Debug, Deserialize)]
pub struct Seed {
    pub model: String,
    #[serde(default)]
    pub replacement: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Model {
    pub id: String,
    #[serde(default)]
    pub aliases: Vec<String>,
    #[serde(default)]
    pub moving_aliases: Vec<String>,
    pub maker: String,
    pub mode: String,
    #[serde(default)]
    pub context_tokens: Option<u64>,
    #[serde(default)]
    pub max_output_tokens: Option<u64>,
    #[serde(default)]
    pub input: Vec<String>,
    #[serde(default)]
    pub output: Vec<String>,
    #[serde(default)]
    pub capabilities: Vec<String>,
    #[serde(default)]
    pub lifecycle: Lifecycle,
    #[serde(default)]
    pub facts: Option<Facts>,
    #[serde(default)]
    pub tier: Option<String>,
    #[serde(default)]
    pub set: String,
    #[serde(default)]
    pub deployments: Vec<Deployment>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Lifecycle {
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub shutdown_date: Option<String>,
    #[serde(default)]
    pub replacement: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Deployment {
    pub provider: String,
    pub name: String,
    #[serde(default)]
    pub other_names: Vec<String>,
    #[serde(default)]
    pub dialects: Option<Vec<String>>,
    #[serde(default)]
    pub prices: Vec<Price>,
    #[serde(default)]
    pub region_uplift: BTreeMap<String, f64>,
    #[serde(default)]
    pub variants: Vec<Variant>,
    #[serde(default)]
    pub max_output_tokens: Option<u64>,
    #[serde(default)]
    pub cache_min_tokens: Option<u64>,
    #[serde(default)]
    pub tools_with_schema: Option<bool>,
    #[serde(default)]
    pub efforts: Option<Vec<String>>,
    #[serde(default)]
    pub reasoning_cannot_be_disabled: bool,
    #[serde(default)]
    pub lifecycle: Option<Lifecycle>,
}

#[derive(Debug, Deserialize)]
pub struct Variant {
    pub name: String,
    pub region: String,
    #[serde(default)]
    pub multiplier: Option<f64>,
    #[serde(default)]
    pub per_mtok: Option<Value>,
    #[serde(default)]
    pub ends: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Price {
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    pub until: Option<String>,
    pub class: String,
    #[serde(default)]
    pub multiplier: Option<f64>,
    #[serde(default)]
    pub per_mtok: Option<BTreeMap<String, f64>>,
    #[serde(default)]
    pub tiers: Vec<Step>,
    #[serde(default)]
    pub per: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    pub per_image: Vec<Picture>,
    #[serde(default)]
    pub hours: Option<Hours>,
    #[serde(default)]
    pub when: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Step {
    pub above_tokens: u64,
    pub per_mtok: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize)]
pub struct Picture {
    pub size: String,
    #[serde(default)]
    pub quality: Option<String>,
    pub usd: f64,
}

#[derive(Debug, Deserialize)]
pub struct Hours {
    pub kind: String,
    #[serde(default)]
    pub tz: Option<String>,
    #[serde(default)]
    pub windows: Vec<(String, String)>,
    #[serde(default)]
    pub weekdays: Vec<u8>,
    #[serde(default)]
    pub except_holidays: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub refuses: Vec<Refusal>,
    pub thinking: Option<String>,
    pub thinking_default: Option<String>,
    pub thinking_off: Option<Value>,
    pub thinking_control: Option<String>,
    pub budget: Option<Budget>,
    pub efforts: Option<Vec<String>>,
    pub efforts_on: BTreeMap<String, Vec<String>>,
    pub default_effort: Option<String>,
    pub effort_map: BTreeMap<String, String>,
    pub tools_only_on: Option<Vec<String>>,
    pub tools_only_on_when: Option<String>,
    pub dialects_only: Option<Vec<String>>,
    pub no_prefill: Option<bool>,
    pub no_forced_tool_choice: Option<bool>,
    pub no_forced_tool_choice_when: Option<String>,
    pub tool_choice_modes: Option<Vec<String>>,
    pub tools_with_schema: Option<bool>,
    pub no_tools: Option<bool>,
    pub max_tokens_field: Option<String>,
    pub roles: Option<Roles>,
    pub schema_subset: Option<String>,
    pub tool_name: Option<ToolName>,
    pub tool_call_id: Option<String>,
    pub tokenizer_factor: Option<f64>,
    pub temperature_max: Option<f64>,
    pub stop_max: Option<usize>,
    pub cache_min_tokens: Option<u64>,
    pub needs_thought_signature: Option<bool>,
    pub reasoning_back: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Refusal {
    pub param: String,
    pub when: String,
    pub effect: String,
}

/// Token counts; `max` may be the words `max_tokens - 1`.
#[derive(Debug, Deserialize)]
pub struct Budget {
    pub min: i64,
    #[serde(default)]
    pub max: Option<Value>,
    #[serde(default)]
    pub off: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub struct Roles {
    #[serde(default)]
    pub developer: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub struct ToolName {
    pub pattern: String,
}

/// The models apart, so that one that cannot be read is named and the others are still looked at.
#[derive(Deserialize)]
struct Models<'a> {
    schema_version: u64,
    #[serde(borrow)]
    models: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// The version that this reads.
const VERSION: u64 = 1;

/// Reads a list.
///
/// # Errors
/// Everything that is wrong with its form, each with its place.
pub fn read(text: &str) -> Result<List, Vec<CatalogueFault>> {
    let whole = |why: serde_json::Error| vec![CatalogueFault(format!("the document: {why}"))];
    let apart: Models<'_> = serde_json::from_str(text).map_err(whole)?;
    if apart.schema_version != VERSION {
        return Err(vec![CatalogueFault(format!(
            "schema_version: {} is not known here; this reads {VERSION}",
            apart.schema_version
        ))]);
    }
    let mut list: List = serde_json::from_str(text).map_err(whole)?;
    let mut faults = Vec::new();
    for (index, one) in apart.models.iter().enumerate() {
        match serde_json::from_str(one.get()) {
            Ok(model) => list.models.push(model),
            Err(why) => {
                let id = serde_json::from_str::<Named>(one.get())
                    .map_or_else(|_| String::new(), |named| format!(" ({})", named.id));
                faults.push(CatalogueFault(format!("models[{index}]{id}: {why}")));
            }
        }
    }
    if faults.is_empty() { Ok(list) } else { Err(faults) }
}
