//! How callers ask to be routed, beside the model's name: which providers, in which order, at which
//! price, by the members that OpenRouter has for it. Pure.

mod read;

use std::cmp::Ordering;

use serde::Deserialize;

use super::step::expected_cost;
use super::{Allows, Step};
use crate::base::clock::Timestamp;
use crate::base::money::{Margin, Nanos};
use crate::base::{Error, Kind};
use crate::catalogue::{
    Catalogue, DataCollection, Deployment, DeploymentId, Each, Modality, Model, Quantization,
    Timeouts, TokenKind,
};

/// What a request says of how it wants to be routed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wishes {
    /// Models to ask in turn, should that one fail which the request names.
    pub models: Vec<String>,
    pub provider: Preferences,
    /// Models that `auto` may choose, and those that it may not, as patterns with `*`.
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    /// Limits within those of the operator.
    pub within: Timeouts,
}

/// The `provider` object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preferences {
    pub order: Vec<String>,
    pub only: Vec<String>,
    pub ignore: Vec<String>,
    pub allow_fallbacks: Option<bool>,
    pub require_parameters: bool,
    pub data_collection: Option<DataCollection>,
    pub zdr: bool,
    /// Makers that let others learn from what their models say.
    pub enforce_distillable_text: bool,
    /// One of these; any, where none is named.
    pub quantizations: Vec<Quantization>,
    pub sort: Option<SortWish>,
    pub max_price: MaxPrice,
    /// What `max_price` bounds, as [`super::DialWish::sold`] has it.
    pub sold: Option<Margin>,
    pub preferred_min_throughput: Option<Cutoffs>,
    pub preferred_max_latency: Option<Cutoffs>,
}

/// What providers are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SortBy {
    Price,
    Throughput,
    Latency,
}

/// How a request wants providers sorted: `"price"`, or `{"by": "price", "partition": "none"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "read::SortSpelled")]
pub struct SortWish {
    pub by: Option<SortBy>,
    /// Over all models; else each model's providers among themselves.
    pub over_all: bool,
}

/// USD per million tokens of text that is read and written and of sound that is heard; for each request, and
/// each picture.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaxPrice {
    #[serde(deserialize_with = "read::usd")]
    pub prompt: Option<f64>,
    #[serde(deserialize_with = "read::usd")]
    pub completion: Option<f64>,
    #[serde(deserialize_with = "read::usd")]
    pub audio: Option<f64>,
    #[serde(deserialize_with = "read::usd")]
    pub request: Option<f64>,
    #[serde(deserialize_with = "read::usd")]
    pub image: Option<f64>,
}

impl MaxPrice {
    const NONE: Self =
        Self { prompt: None, completion: None, audio: None, request: None, image: None };

    /// Whether a model costs no more at a deployment, or is `sold` for no more. What has no price of its own
    /// there is in those of the tokens.
    fn met(
        &self,
        model: &Model,
        deployment: &Deployment,
        now: Timestamp,
        sold: Option<Margin>,
    ) -> bool {
        if *self == Self::NONE {
            return true;
        }
        let deployment = if sold.is_some() { model.sold_at(deployment) } else { deployment };
        let margin = sold.unwrap_or_default();
        let within = |most: Option<f64>, price: Option<Nanos>, read: fn(f64) -> Option<Nanos>| {
            most.and_then(read).zip(price).is_none_or(|(most, price)| margin.on(price) <= most)
        };
        let rates = deployment.prices.rates(now, 0);
        let rate = |kind| rates.map(|rates| rates.of(kind));
        let hears = model.input.contains(&Modality::Audio);
        let each = deployment.prices.each(now);
        [(self.prompt, TokenKind::Input), (self.completion, TokenKind::Output)]
            .into_iter()
            .chain(hears.then_some((self.audio, TokenKind::AudioIn)))
            .all(|(most, kind)| within(most, rate(kind), Nanos::per_million_from_usd))
            && within(self.request, each.and_then(|each| each.request), Nanos::from_usd)
            && within(self.image, each.and_then(Each::dearest_picture), Nanos::from_usd)
    }
}

/// A limit for the half of the requests, or for other shares of them.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(from = "read::CutoffsSpelled")]
pub struct Cutoffs(pub [Option<f32>; 4]);

/// The shares of requests that the four of them are about.
const SHARES: [f64; 4] = [0.5, 0.75, 0.9, 0.99];

impl Cutoffs {
    /// Whether what is known meets every limit; what is not known does.
    fn met(&self, known: impl Fn(f64) -> Option<f32>, meets: impl Fn(f32, f32) -> bool) -> bool {
        self.0.iter().zip(SHARES).all(|(limit, share)| match (limit, known(share)) {
            (Some(limit), Some(known)) => meets(known, *limit),
            _ => true,
        })
    }
}

/// A deployment that a request could have been answered by, and the member that left it out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct LeftOut {
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    pub member: &'static str,
}

/// Throughput and latency that were measured of deployments, by the share of streams that reach them.
#[derive(Clone, Copy)]
pub struct MeasuredSpeed<'a> {
    /// Tokens per second.
    pub throughput: &'a dyn Fn(DeploymentId, f64) -> Option<f32>,
    /// Seconds to the first token.
    pub latency: &'a dyn Fn(DeploymentId, f64) -> Option<f32>,
    pub now: Timestamp,
}

impl Wishes {
    /// The members of a body that they are said in, as they stand there.
    pub const MEMBERS: [&'static str; 4] =
        ["\"models\"", "\"provider\"", "\"route\"", "\"auto_models\""];

    /// None at all.
    pub const NONE: Self = Self {
        models: Vec::new(),
        provider: Preferences::NONE,
        allow: Vec::new(),
        deny: Vec::new(),
        within: Timeouts::NONE,
    };

    /// Whether they say anything of who is to be asked.
    #[must_use]
    pub fn choose(&self) -> bool {
        let lists = [&self.models, &self.allow, &self.deny];
        self.provider != Preferences::NONE || lists.iter().any(|list| !list.is_empty())
    }

    /// What the end of a model's name says (`:floor`, `:nitro`, `:free`), and the name without it.
    #[must_use]
    pub fn suffixed<'a>(&mut self, name: &'a str, catalogue: &Catalogue) -> &'a str {
        // What a provider of providers calls so itself (`openrouter/vendor/model:free`) is its own.
        let through =
            |(provider, name): (&str, &str)| name.contains('/') && catalogue.has_provider(provider);
        if name.split_once('/').is_some_and(through) {
            return name;
        }
        let Some((plain, suffix)) =
            name.rsplit_once(':').filter(|_| catalogue.model(name).is_none())
        else {
            return name;
        };
        let by = |by| Some(SortWish { by: Some(by), over_all: false });
        match suffix {
            "floor" => self.provider.sort = self.provider.sort.or(by(SortBy::Price)),
            "nitro" => self.provider.sort = self.provider.sort.or(by(SortBy::Throughput)),
            "free" => {
                self.provider.max_price =
                    MaxPrice { prompt: Some(0.0), completion: Some(0.0), ..MaxPrice::NONE };
            }
            _ => return name,
        }
        plain
    }

    /// Whether `auto` may choose a model; the member that it must not by.
    ///
    /// # Errors
    /// That member.
    pub fn lets(&self, model: &Model) -> Result<(), &'static str> {
        let is = |pattern: &String| {
            let (vendor, name) = pattern.split_once('/').unwrap_or(("", pattern));
            matches(name, &model.id) && (vendor.is_empty() || matches(vendor, &model.owned_by))
                || matches(pattern, &model.id)
        };
        if !self.allow.is_empty() && !self.allow.iter().any(is) {
            return Err("auto_models.allow");
        }
        if self.deny.iter().any(is) { Err("auto_models.deny") } else { Ok(()) }
    }

    /// Whether `auto` may choose a model that has a deployment which will do.
    #[must_use]
    pub fn could_take(&self, model: &Model, now: Timestamp) -> bool {
        self.lets(model).is_ok()
            && model.deployments.iter().any(|one| self.provider.keeps(model, one, now).is_ok())
    }

    /// Why no model will do, where it is for these wishes.
    #[must_use]
    pub fn unmet(
        &self,
        catalogue: &Catalogue,
        allows: Allows<'_>,
        now: Timestamp,
    ) -> Option<Error> {
        let mut left_out = Vec::new();
        for model in catalogue.models().iter().filter(|model| allows(model)) {
            if let Err(member) = self.lets(model) {
                left_out.push(member);
                continue;
            }
            for one in &model.deployments {
                match self.provider.keeps(model, one, now) {
                    Ok(()) => return None,
                    Err(member) => left_out.push(member),
                }
            }
        }
        left_out.first().map(|member| nobody("auto", member))
    }
}

/// That no provider of a model meets a member.
fn nobody(model: &str, member: &'static str) -> Error {
    let text = format!(
        "No provider of '{model}' meets '{member}'. Leave the member out or widen it; \
         POST /v1/route says who would be asked then."
    );
    Error::new(Kind::Unsupported, text).at(member).coded("no_provider_left")
}

/// Whether a name is what a pattern says, in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| rest.get(at..).is_some_and(|rest| matches(after, rest)))
        }),
    }
}

impl Preferences {
    pub const NONE: Self = Self {
        order: Vec::new(),
        only: Vec::new(),
        ignore: Vec::new(),
        allow_fallbacks: None,
        require_parameters: false,
        data_collection: None,
        zdr: false,
        enforce_distillable_text: false,
        quantizations: Vec::new(),
        sort: None,
        max_price: MaxPrice::NONE,
        sold: None,
        preferred_min_throughput: None,
        preferred_max_latency: None,
    };

    /// Whether a deployment may be asked at all.
    ///
    /// # Errors
    /// The member that says that it may not.
    pub fn keeps(
        &self,
        model: &Model,
        deployment: &Deployment,
        now: Timestamp,
    ) -> Result<(), &'static str> {
        let provider = &deployment.provider;
        let among = |names: &[String]| names.iter().any(|name| is_called(&provider.id, name));
        let strict = self.allow_fallbacks == Some(false) && !self.order.is_empty();
        let facts = &deployment.facts;
        let broken = [
            (!self.only.is_empty() && !among(&self.only), "provider.only"),
            (among(&self.ignore), "provider.ignore"),
            (strict && !among(&self.order), "provider.order"),
            (
                self.data_collection == Some(DataCollection::Deny)
                    && !deployment.data.collects_nothing(),
                "provider.data_collection",
            ),
            (self.zdr && !deployment.data.keeps_nothing(), "provider.zdr"),
            (
                self.enforce_distillable_text && facts.distillable != Some(true),
                "provider.enforce_distillable_text",
            ),
            (
                !self.quantizations.is_empty() && !self.quantizations.contains(&facts.quantization),
                "provider.quantizations",
            ),
            (!self.max_price.met(model, deployment, now, self.sold), "provider.max_price"),
        ];
        broken.into_iter().find(|(broken, _)| *broken).map_or(Ok(()), |(_, member)| Err(member))
    }

    /// Leaves out the steps that may not be asked, and puts the others in order.
    ///
    /// # Errors
    /// Where none is left: the member that left out the first.
    pub fn arrange(
        &self,
        steps: Vec<Step>,
        measured: MeasuredSpeed<'_>,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<Vec<Step>, Error> {
        if *self == Self::NONE {
            return Ok(steps);
        }
        let mut kept: Vec<Step> = Vec::with_capacity(steps.len());
        let mut missing = None;
        for step in steps {
            match self.keeps(&step.model, &step.deployment, measured.now) {
                Ok(()) => kept.push(step),
                Err(member) => {
                    missing.get_or_insert_with(|| nobody(&step.model.id, member));
                    left_out.push(LeftOut {
                        model: step.model.id.to_string(),
                        provider: Some(step.deployment.provider.id.to_string()),
                        member,
                    });
                }
            }
        }
        if let Some(missing) = missing.filter(|_| kept.is_empty()) {
            return Err(missing);
        }
        let blocks: Vec<usize> = {
            let mut models: Vec<*const Model> = Vec::new();
            let over_all = self.sort.is_some_and(|sort| sort.over_all);
            kept.iter()
                .map(|step| {
                    let model = std::sync::Arc::as_ptr(&step.model);
                    let known = models.iter().position(|known| *known == model);
                    let place = known.unwrap_or_else(|| {
                        models.push(model);
                        models.len() - 1
                    });
                    if over_all { 0 } else { place }
                })
                .collect()
        };
        let mut ranked: Vec<(Rank, Step)> = blocks
            .into_iter()
            .zip(kept)
            .map(|(block, step)| (self.rank(block, &step.deployment, measured), step))
            .collect();
        // Equals stay in their order.
        ranked.sort_by(|(one, _), (other, _)| one.order(other));
        let mut steps: Vec<Step> = ranked.into_iter().map(|(_, step)| step).collect();
        if self.allow_fallbacks == Some(false) && self.order.is_empty() {
            for step in steps.drain(1..) {
                left_out.push(LeftOut {
                    model: step.model.id.to_string(),
                    provider: Some(step.deployment.provider.id.to_string()),
                    member: "provider.allow_fallbacks",
                });
            }
        }
        Ok(steps)
    }

    fn rank(&self, block: usize, deployment: &Deployment, measured: MeasuredSpeed<'_>) -> Rank {
        let id = deployment.id;
        let named = self.order.iter().position(|name| is_called(&deployment.provider.id, name));
        let fast = self.preferred_min_throughput.is_none_or(|limit| {
            limit.met(|share| (measured.throughput)(id, share), |known, limit| known >= limit)
        });
        let soon = self.preferred_max_latency.is_none_or(|limit| {
            limit.met(|share| (measured.latency)(id, share), |known, limit| known <= limit)
        });
        // What is not known comes behind what is.
        let value = match self.sort.and_then(|sort| sort.by) {
            None => 0.0,
            #[expect(clippy::cast_precision_loss, reason = "a rank")]
            Some(SortBy::Price) => {
                expected_cost(deployment, measured.now, 1_000, 0, 1_000).0 as f64
            }
            Some(SortBy::Latency) => (measured.latency)(id, 0.5).map_or(f64::INFINITY, f64::from),
            Some(SortBy::Throughput) => {
                (measured.throughput)(id, 0.5).map_or(f64::INFINITY, |rate| -f64::from(rate))
            }
        };
        Rank { block, named: named.unwrap_or(usize::MAX), misses: !(fast && soon), value }
    }
}

/// What a step is put in order by, the first that differs.
struct Rank {
    block: usize,
    named: usize,
    misses: bool,
    value: f64,
}

impl Rank {
    fn order(&self, other: &Self) -> Ordering {
        self.block
            .cmp(&other.block)
            .then(self.named.cmp(&other.named))
            .then(self.misses.cmp(&other.misses))
            .then(self.value.total_cmp(&other.value))
    }
}

/// Providers whose names at OpenRouter are others.
const SLUGS: [(&str, &str); 10] = [
    ("google-ai-studio", "gemini"),
    ("google-vertex", "vertex"),
    ("amazon-bedrock", "bedrock"),
    ("moonshotai", "moonshot"),
    ("x-ai", "xai"),
    ("z-ai", "zai"),
    ("mistralai", "mistral"),
    ("meta-llama", "meta"),
    ("qwen", "alibaba"),
    ("google", "gemini"),
];

/// Whether a provider is the one of a name, as OpenRouter or we call it; what follows a slash there
/// (`deepinfra/turbo`) is one of its endpoints, which are not told apart.
fn is_called(id: &str, name: &str) -> bool {
    let name = name.split('/').next().unwrap_or(name);
    let ours = SLUGS.iter().find(|(theirs, _)| name.eq_ignore_ascii_case(theirs));
    id.eq_ignore_ascii_case(name) || ours.is_some_and(|(_, ours)| *ours == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_stars() {
        for (pattern, name, fits) in [
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5-mini", false),
            ("gpt-*", "gpt-5-mini", true),
            ("*-mini", "gpt-5-mini", true),
            ("g*5*i", "gpt-5-mini", true),
            ("*", "", true),
            ("*née*", "année 2", true),
            ("*x", "gpt", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn providers_are_known_by_both_names() {
        assert!(is_called("gemini", "google-ai-studio") && is_called("openai", "OpenAI"));
        assert!(is_called("deepinfra", "deepinfra/turbo") && is_called("house", "house"));
        assert!(!is_called("openai", "azure") && !is_called("xai", "zai"));
    }
}
