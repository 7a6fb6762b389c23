//! Embeddings: a named model, at whichever of its deployments is up, in as many calls as the batch takes.

use bytes::Bytes;

use super::app::App;
use super::charge::{self, Intent, PriorAttempts, Sum};
use super::decide;
use super::features::{guarded, tell};
use super::named::named;
use super::several::CombinedResult;
use crate::admit::{Caller, Scope};
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::catalogue::{Mode, Pictures};
use crate::exchange::{Answered, Arrival, Refused};
use crate::ledger::{Hold, Outcome};
use crate::router::Decision;
use crate::upstream::NoAnswer;
use crate::wire::embeddings::{self, EmbeddingsForm};
use crate::wire::{Inbound, Operation};

/// `model` is what the path says, where the form has it there.
///
/// # Errors
/// What the caller is to be told.
pub async fn embed(
    app: &App,
    caller: &Caller,
    arrival: Arrival,
    form: EmbeddingsForm,
    model: Option<String>,
) -> Result<Answered, Refused> {
    caller.must_be_for(Scope::Embeddings)?;
    let live = app.live();
    let Arrival { id, mut body, asked, .. } = arrival;
    let id = &id;
    let guarded = guarded(app, &live, caller, id, &mut body).await?;
    let mut inbound = Inbound::arrive_to_embed(body, form, model)?;
    inbound.strict = decide::is_strict(app, caller, &asked);
    inbound.hides_cost = !caller.sees_cost();
    let mut decision = named(app, caller, &inbound.head.model, Mode::Embedding)?;
    // Vectors of different models never mix.
    let first = decision.steps.first().map(|step| step.model.id.clone());
    decision.steps.retain(|step| Some(&step.model.id) == first.as_ref());
    let intent = Intent::of(id, "embeddings");
    let hold = charge::hold(app, caller, &decision, &inbound.head, intent).await?;
    let parts = parts(&decision, &inbound);
    let mut answered = if parts.is_empty() {
        charge::deliver(app, &decision, &inbound, id, hold, PriorAttempts::default()).await?
    } else {
        in_parts(app, &decision, &parts, id, hold).await?
    };
    tell(guarded.as_ref(), &mut answered);
    Ok(answered)
}

/// The calls that a batch is split into where it is larger than its providers take at once; empty where one call
/// will do.
fn parts(decision: &Decision, inbound: &Inbound) -> Vec<Inbound> {
    let Operation::Embed(form, request) = &inbound.operation else { return Vec::new() };
    let at_home = matches!(form, EmbeddingsForm::Gemini | EmbeddingsForm::GeminiOne);
    let forms = || decision.steps.iter().filter_map(|step| step.deployment.provider.embeddings);
    // The caller's own words go to Gemini as they are, and it says itself what it takes.
    if at_home && forms().any(|theirs| theirs == EmbeddingsForm::Gemini) {
        return Vec::new();
    }
    // Whoever answers takes as many as the one that takes the fewest.
    let (all, most) = (request.inputs.len(), forms().filter_map(EmbeddingsForm::most_inputs).min());
    let Some(most) = most.filter(|most| all > *most) else { return Vec::new() };
    let parts = request.parts(most).into_iter();
    let calls = parts.map(|part| {
        let mut head = inbound.head.clone();
        // Where a provider counts no tokens, each part has its share of the whole.
        head.prompt_bytes = head.prompt_bytes * part.inputs.len() / all;
        let operation = Operation::Embed(*form, part);
        let mut call = Inbound::of(operation, inbound.dialect, head, Bytes::new());
        (call.strict, call.hides_cost) = (inbound.strict, inbound.hides_cost);
        call
    });
    calls.collect()
}

/// Asks for each part, and answers with all of them, or with none where one could not be had: vectors of a
/// part of the texts are no answer, and cost nothing.
async fn in_parts(
    app: &App,
    decision: &Decision,
    parts: &[Inbound],
    id: &RequestId,
    hold: Hold,
) -> Result<Answered, Refused> {
    let all = CombinedResult::ask(app, decision, parts, id).await;
    let CombinedResult { step, losses, answers, tokens, asides, basis, attempts, tried, failure } =
        all;
    let whole = embeddings::joined(&answers).map_err(|why| {
        Error::new(Kind::UpstreamDown, "The provider's answer cannot be read.").because(why)
    });
    let (step, body) = match (failure, step, whole) {
        (None, Some(step), Ok(body)) => (step, body),
        (failure, _, whole) => {
            let error = failure.or(whole.err());
            let error = error.unwrap_or_else(|| Error::internal("no call was made"));
            return Err(charge::give_up(hold, NoAnswer { error, attempts, tried }));
        }
    };
    let standing = Some(hold.standing());
    let (outcome, pictures) = (Outcome::Complete, Pictures::default());
    let sum = Sum { outcome, tokens, asides, basis, pictures, attempts, tried };
    let settled = charge::settle(app, &step, hold, sum).await;
    settled.map_err(|error| Refused { error, attempts, standing: standing.map(Box::new) })?;
    Ok(Answered::whole(step, attempts, losses, body, standing))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admit::KeyTerms;
    use crate::boot::fixture::{CannedAnswer, FakeProvider, Fixture};
    use crate::exchange::ResponseBody;
    use crate::wire::vocab::Dialect;

    /// The model `m` at providers that are asked in these forms.
    fn at(base: &str, forms: &[&str]) -> String {
        let provider = |(at, form): (usize, &&str)| {
            format!("[providers.p{at}]\nbase_url = \"{base}\"\nembeddings = \"{form}\"\n")
        };
        let providers: String = forms.iter().enumerate().map(provider).collect();
        let places: Vec<String> =
            (0..forms.len()).map(|at| format!("{{ provider = \"p{at}\" }}")).collect();
        format!(
            "{providers}[[models]]\nid = \"m\"\nmode = \"embedding\"\ndeployments = [{}]\n",
            places.join(", ")
        )
    }

    fn texts(count: usize) -> Bytes {
        let texts: Vec<String> = (0..count).map(|text| format!("{text:04}")).collect();
        Bytes::from(json!({"model": "m", "input": texts}).to_string())
    }

    /// In Gemini's form, for the model of the path.
    fn gemini(count: usize) -> Bytes {
        let text = |text: usize| json!({"content": {"parts": [{"text": format!("{text:04}")}]}});
        let all: Vec<Value> = (0..count).map(text).collect();
        Bytes::from(json!({ "requests": all }).to_string())
    }

    /// Cohere's answer: a vector that is the text's number, and a token for each.
    fn vectors(asked: &Value) -> CannedAnswer {
        let texts = asked["texts"].as_array().unwrap();
        let vector = |text: &Value| json!([text.as_str().unwrap().parse::<u32>().unwrap()]);
        let all: Vec<Value> = texts.iter().map(vector).collect();
        CannedAnswer::json(
            200,
            &json!({"embeddings": {"float": all},
                "meta": {"billed_units": {"input_tokens": all.len()}}}),
        )
    }

    #[tokio::test]
    async fn a_batch_is_parted_by_whoever_takes_the_fewest() {
        for (forms, own, count, sizes) in [
            (&["cohere"][..], false, 96, &[][..]),
            (&["cohere"], false, 97, &[96, 1]),
            (&["cohere"], false, 200, &[96, 96, 8]),
            (&["openai"], false, 2_000, &[]),
            (&["voyage", "cohere"], false, 100, &[96, 4]),
            // One that takes all of it does not help where the other is asked.
            (&["cohere", "openai"], false, 100, &[96, 4]),
            (&["openai", "cohere"], false, 100, &[96, 4]),
            (&["gemini"], false, 101, &[100, 1]),
            // The caller's own words go to Gemini as they are.
            (&["gemini"], true, 101, &[]),
            (&["vertex", "gemini"], true, 300, &[]),
            (&["vertex"], true, 300, &[250, 50]),
        ] {
            let fixture = Fixture::of(&at("http://127.0.0.1:1", forms)).await;
            let caller = fixture.caller("free").await;
            let decision = named(&fixture.app, &caller, "m", Mode::Embedding).unwrap();
            let inbound = if own {
                Inbound::arrive_to_embed(
                    gemini(count),
                    EmbeddingsForm::Gemini,
                    Some("m".to_owned()),
                )
            } else {
                Inbound::arrive_to_embed(texts(count), EmbeddingsForm::Openai, None)
            };
            let mut inbound = inbound.unwrap();
            inbound.strict = true;
            let parts = parts(&decision, &inbound);
            let inputs: Vec<usize> = parts
                .iter()
                .map(|part| match &part.operation {
                    Operation::Embed(_, request) => request.inputs.len(),
                    _ => 0,
                })
                .collect();
            assert_eq!(inputs, sizes, "{forms:?} own: {own}, {count}");
            // Each has its share of the bytes, and is what the whole is.
            let bytes: Vec<usize> = parts.iter().map(|part| part.head.prompt_bytes).collect();
            let shares: Vec<usize> = sizes.iter().map(|size| size * 4).collect();
            assert_eq!(bytes, shares, "{forms:?}");
            assert!(parts.iter().all(|part| part.strict && part.dialect == inbound.dialect));
        }
    }

    fn asking(id: &RequestId, count: usize) -> Arrival {
        Arrival::of(id.clone(), Dialect::OpenAiChat, texts(count))
    }

    #[tokio::test]
    async fn parts_come_back_as_one_answer_that_is_booked_once() {
        let provider = FakeProvider::answering(|asked| vectors(&asked.body)).await;
        let fixture = Fixture::of(&at(&provider.base, &["cohere"])).await;
        let (caller, id) = (fixture.caller("free").await, RequestId::fresh());
        let answered =
            embed(&fixture.app, &caller, asking(&id, 200), EmbeddingsForm::Openai, None).await;
        let answered = answered.unwrap();
        let ResponseBody::Whole(body) = answered.body else { panic!("it streams") };
        let told: Value = serde_json::from_slice(&body).unwrap();
        let data = told["data"].as_array().unwrap();
        assert_eq!(data.len(), 200);
        for (at, one) in data.iter().enumerate() {
            assert_eq!(one["index"].as_u64(), Some(at as u64));
            let number = one["embedding"][0].as_f64().map(|number| number.to_string());
            assert_eq!(number, Some(at.to_string()));
        }
        let booked = fixture.booked(&id).await.unwrap();
        assert_eq!((booked.tokens.input, booked.attempts, booked.credits.0), (200, 3, 1));
        assert_eq!((provider.asked().len(), answered.attempts), (3, 3));
    }

    #[tokio::test]
    async fn vectors_of_a_part_of_the_texts_are_no_answer_and_cost_nothing() {
        let provider = FakeProvider::answering(|asked| match asked.body["texts"][0].as_str() {
            Some("0096") => CannedAnswer::json(400, &json!({"message": "no"})),
            _ => vectors(&asked.body),
        })
        .await;
        let fixture = Fixture::of(&at(&provider.base, &["cohere"])).await;
        let (caller, id) = (fixture.caller("free").await, RequestId::fresh());
        let refused =
            embed(&fixture.app, &caller, asking(&id, 200), EmbeddingsForm::Openai, None).await;
        let Err(refused) = refused else { panic!("it is answered") };
        assert_eq!((refused.attempts, refused.standing.is_some()), (3, true));
        let booked = fixture.booked(&id).await.unwrap();
        assert_eq!((booked.outcome, booked.credits.0, booked.cost.0), (Outcome::Failed, 0, 0));
    }

    #[tokio::test]
    async fn whoever_may_not_embed_is_refused_before_anybody_is_asked() {
        let provider = FakeProvider::answering(|asked| vectors(&asked.body)).await;
        let fixture = Fixture::of(&at(&provider.base, &["cohere"])).await;
        let terms = KeyTerms { scopes: Some(vec![Scope::Chat]), ..KeyTerms::default() };
        let (caller, id) = (fixture.caller_with("free", &terms).await, RequestId::fresh());
        let refused =
            embed(&fixture.app, &caller, asking(&id, 1), EmbeddingsForm::Openai, None).await;
        assert_eq!(refused.err().map(|refused| refused.error.kind), Some(Kind::Forbidden));
        assert!(provider.asked().is_empty());
    }
}
