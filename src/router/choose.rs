//! `auto`: filter by what the request needs, score what is left, take the best first.

use super::explain::{Explanation, Kept, Rejected};
use super::{Allows, Decision, Dial, Features, HealthOf, Needs, Predictor, Step, expected_cost};
use crate::base::{Error, Kind};
use crate::catalogue::{Capability, Catalogue, Modality, Mode, Model};
use std::sync::Arc;

/// How many models a plan may run through, and how many deployments of each.
const MODELS: usize = 4;
const DEPLOYMENTS: usize = 2;

/// # Errors
/// [`Kind::Unsupported`] when no model can do what is asked, [`Kind::Overloaded`] when those that
/// can are all down.
pub fn decide_auto(
    dial: Dial,
    needs: &Needs,
    features: &Features,
    catalogue: &Catalogue,
    allows: Allows<'_>,
    health: HealthOf<'_>,
    predictor: &dyn Predictor,
) -> Result<Decision, Error> {
    let mut explanation = Explanation::new(dial, features.difficulty(), needs.input_tokens);
    let mut ranked: Vec<(f64, &Arc<Model>, Kept)> = Vec::with_capacity(catalogue.models().len());
    let mut down = false;
    for model in catalogue.models() {
        if model.mode != Mode::Chat {
            continue;
        }
        if let Some(reason) = unfit(model, needs, allows) {
            explanation.rejected.push(Rejected { model: model.id.clone(), reason });
            continue;
        }
        let Some(first) = model.deployments.iter().find(|deployment| health(deployment.id).passing)
        else {
            down = true;
            explanation.rejected.push(Rejected { model: model.id.clone(), reason: "down" });
            continue;
        };
        let prediction = predictor.predict(features, model);
        let output = needs
            .max_output_tokens
            .map_or(prediction.output_tokens, |most| prediction.output_tokens.min(most));
        let cost = expected_cost(first, needs.input_tokens, output);
        let utility = f64::from(prediction.quality) - dial.quality_per_usd() * cost.as_usd();
        let kept = Kept {
            model: model.id.clone(),
            provider: (&*first.provider.id).into(),
            tier: model.tier.as_str(),
            quality: prediction.quality,
            expected_cost_nano_usd: cost.0,
            expected_output_tokens: output,
            utility,
        };
        ranked.push((utility, model, kept));
    }
    // Equal utilities fall to the cheaper, then to the name, so that a decision can be repeated.
    ranked.sort_by(|(a, _, one), (b, _, other)| {
        b.total_cmp(a)
            .then(one.expected_cost_nano_usd.cmp(&other.expected_cost_nano_usd))
            .then_with(|| one.model.cmp(&other.model))
    });
    let steps: Vec<Step> = ranked
        .iter()
        .take(MODELS)
        .flat_map(|(_, model, _)| {
            model
                .deployments
                .iter()
                .filter(|deployment| health(deployment.id).passing)
                .take(DEPLOYMENTS)
                .map(|deployment| Step {
                    model: Arc::clone(model),
                    deployment: Arc::clone(deployment),
                })
        })
        .collect();
    if steps.is_empty() {
        return Err(if down {
            Error::new(
                Kind::Overloaded,
                "Every model that could answer is temporarily unavailable.",
            )
            .coded("no_model_available")
        } else {
            Error::new(Kind::Unsupported, "No available model can do what the request asks for.")
                .coded("no_suitable_model")
        });
    }
    explanation.kept = ranked.into_iter().map(|(_, _, kept)| kept).collect();
    Ok(Decision { steps, explanation: Some(Box::new(explanation)) })
}

/// Why a model cannot be asked, if it cannot.
fn unfit(model: &Model, needs: &Needs, allows: Allows<'_>) -> Option<&'static str> {
    if !allows(model) {
        return Some("not in the plan");
    }
    if !model.output.contains(&Modality::Text) {
        return Some("does not answer with text");
    }
    let missing = model.capabilities.missing(needs.capabilities);
    for (capability, reason) in [
        (Capability::Tools, "no tools"),
        (Capability::JsonSchema, "no JSON schema"),
        (Capability::Vision, "no vision"),
        (Capability::Pdf, "no documents"),
        (Capability::AudioIn, "no audio"),
        (Capability::VideoIn, "no video"),
    ] {
        if missing.has(capability) {
            return Some(reason);
        }
    }
    if needs.modalities.iter().any(|modality| !model.input.contains(modality)) {
        return Some("cannot read what was sent");
    }
    let output = needs.max_output_tokens.unwrap_or(256);
    if output > model.max_output_tokens {
        return Some("answers too short");
    }
    if needs.input_tokens.saturating_add(output) > model.context_tokens {
        return Some("context too short");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Sources, Tier, builtin, load};
    use crate::router::{Health, Heuristic};
    use crate::wire::vocab::{Part, Request, Role, Turn};

    fn catalogue() -> Catalogue {
        let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
        for file in &sources.files {
            let id = file.id.clone().unwrap();
            sources.keys.insert(id, secrecy::SecretString::from("k"));
        }
        load(sources).unwrap()
    }

    fn decide(dial: Dial, text: &str, needs: impl Fn(&mut Needs)) -> Result<Decision, Error> {
        let request = Request {
            turns: vec![Turn::new(Role::User, vec![Part::text(text)])],
            ..Request::default()
        };
        let mut wanted = Needs::of(&request);
        needs(&mut wanted);
        decide_auto(
            dial,
            &wanted,
            &Features::of(&request),
            &catalogue(),
            &|_| true,
            &|_| Health { passing: true },
            &Heuristic,
        )
    }

    #[test]
    fn a_dearer_dial_never_lowers_predicted_quality() {
        for text in [
            "Hello",
            "Prove the theorem and explain why, step by step.",
            "refactor this class: ```def f```",
        ] {
            let quality =
                |dial| decide(dial, text, |_| {}).unwrap().explanation.unwrap().kept[0].quality;
            assert!(quality(Dial::Cheap) <= quality(Dial::Balanced), "{text}");
            assert!(quality(Dial::Balanced) <= quality(Dial::Best), "{text}");
        }
    }

    #[test]
    fn hard_requirements_are_never_broken() {
        let decision = decide(Dial::Cheap, "Look", |needs| {
            needs.capabilities.add(Capability::Vision);
            needs.capabilities.add(Capability::Tools);
            needs.input_tokens = 150_000;
        })
        .unwrap();
        for step in &decision.steps {
            assert!(step.model.capabilities.has(Capability::Vision));
            assert!(step.model.capabilities.has(Capability::Tools));
            assert!(step.model.context_tokens >= 150_000);
        }
    }

    #[test]
    fn the_same_facts_give_the_same_decision() {
        let names = || -> Vec<Box<str>> {
            decide(Dial::Balanced, "Compare two plans", |_| {})
                .unwrap()
                .steps
                .iter()
                .map(|step| step.model.id.clone())
                .collect()
        };
        assert_eq!(names(), names());
    }

    #[test]
    fn what_nobody_can_do_is_said_so() {
        let error = decide(Dial::Best, "x", |needs| needs.input_tokens = 1 << 40).unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
    }

    #[test]
    fn a_plan_without_a_tier_never_gets_it() {
        let request = Request::default();
        let decision = decide_auto(
            Dial::Best,
            &Needs::of(&request),
            &Features::of(&request),
            &catalogue(),
            &|model| model.tier <= Tier::Budget,
            &|_| Health { passing: true },
            &Heuristic,
        )
        .unwrap();
        assert!(decision.steps.iter().all(|step| step.model.tier <= Tier::Budget));
    }
}
