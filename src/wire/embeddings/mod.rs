//! Embeddings: texts to vectors, in the forms that surfaces and providers have for it. Source: the
//! SDKs' types, the providers' references and the recordings. Longer than most files: the forms
//! differ in few members each, which are read side by side.

mod read;
mod write;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::vocab::{Malformed, RequestHead, Usage};

pub use read::{decode_reply, decode_request, head};
pub use write::{encode_at_home, encode_reply, encode_request, joined, translate};

/// How a surface asks for embeddings, or a provider wants to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "EmbeddingsForm")]
pub enum EmbeddingsForm {
    /// `{model, input, dimensions, encoding_format}`
    Openai,
    /// OpenAI's, with `output_dimension`, and floats only.
    Mistral,
    /// OpenAI's, with `output_dimension`, `base64` or nothing, and no `user`.
    Voyage,
    /// `/v2/embed`
    Cohere,
    /// `batchEmbedContents`
    Gemini,
    /// Vertex's `:predict`
    Vertex,
    /// `embedContent`: Gemini's, for a single text.
    #[serde(skip)]
    GeminiOne,
}

impl EmbeddingsForm {
    /// The most inputs that a provider takes in one call; `None` where it takes as many as a surface does.
    /// Source: the providers' references.
    #[must_use]
    pub const fn most_inputs(self) -> Option<usize> {
        match self {
            Self::Cohere => Some(96),
            Self::Gemini | Self::GeminiOne => Some(100),
            Self::Vertex => Some(250),
            Self::Voyage => Some(1_000),
            Self::Openai | Self::Mistral => None,
        }
    }
}

/// What vectors are wanted for, which some models are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorPurpose {
    Query,
    Document,
    Classification,
    Clustering,
    Similarity,
    /// Kinds of queries that only Google tells apart.
    Question,
    Fact,
    Code,
}

/// What a caller asks of the embedding of an input, beside the text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InputOptions {
    pub dimensions: Option<u64>,
    pub purpose: Option<VectorPurpose>,
    /// Of the document that the text is of.
    pub title: Option<String>,
    /// Whether a text that is too long is cut, in place of an error.
    pub truncate: Option<bool>,
}

/// A request for embeddings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EmbeddingsRequest {
    pub inputs: Vec<Input>,
    /// One for each input, in Gemini's forms; else one for all of them.
    pub wishes: Vec<InputOptions>,
    /// Vectors are to be packed.
    pub base64: bool,
    /// It came in one of Gemini's forms, and is spelled so to whoever asked.
    pub is_gemini: bool,
}

impl EmbeddingsRequest {
    /// The request in parts of at most so many inputs, in their order.
    #[must_use]
    pub fn parts(&self, most: usize) -> Vec<Self> {
        let most = most.max(1);
        let each = self.wishes.len() == self.inputs.len();
        let inputs = self.inputs.chunks(most).enumerate();
        inputs
            .map(|(part, inputs)| Self {
                inputs: inputs.to_vec(),
                wishes: match self.wishes.chunks(most).nth(part).filter(|_| each) {
                    Some(wishes) => wishes.to_vec(),
                    None => self.wishes.clone(),
                },
                base64: self.base64,
                is_gemini: self.is_gemini,
            })
            .collect()
    }

    fn wish_of(&self, input: usize) -> Option<&InputOptions> {
        self.wishes.get(input).or(self.wishes.first())
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    Text(String),
    /// Numbers of a tokenizer that only the model's maker has.
    Tokens(Value),
    /// Gemini's parts, where they are more than one text.
    Parts(Value),
}

impl Input {
    /// How many bytes of text it holds, or would: what is inline in a part counts for what it comes to.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Tokens(tokens) => tokens.as_array().map_or(0, Vec::len) * 4,
            Self::Parts(parts) => super::prompt_bytes(parts.to_string().as_bytes()),
        }
    }
}

/// An answer with embeddings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EmbeddingsReply {
    pub vectors: Vec<Vector>,
    /// What was read, where the provider counts it.
    pub usage: Option<Usage>,
}

impl EmbeddingsReply {
    /// The answer to a request with so many inputs.
    ///
    /// # Errors
    /// [`Malformed`] when it does not hold one vector for each of them.
    pub fn to_inputs(self, inputs: usize) -> Result<Self, Malformed> {
        let vectors = self.vectors.len();
        if vectors == inputs {
            return Ok(self);
        }
        Err(Malformed::new(format!("the answer holds {vectors} vectors for {inputs} inputs")))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Vector {
    Floats(Vec<f32>),
    /// Little-endian float32 in base64.
    Packed(String),
}

impl Vector {
    #[must_use]
    pub fn packed(self) -> String {
        match self {
            Self::Packed(text) => text,
            Self::Floats(values) => packed(&values),
        }
    }

    /// # Errors
    /// [`Malformed`] for what is not base64 of whole numbers.
    pub fn floats(self) -> Result<Vec<f32>, Malformed> {
        match self {
            Self::Floats(values) => Ok(values),
            Self::Packed(text) => {
                let wrong = || Malformed::new("a vector is not packed float32");
                let bytes = BASE64_STANDARD.decode(text).map_err(|_| wrong())?;
                let (numbers, []) = bytes.as_chunks::<4>() else { return Err(wrong()) };
                Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
            }
        }
    }
}

/// Little-endian float32 in base64, as OpenAI's SDKs unpack it.
#[must_use]
pub fn packed(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Encoded;
    use proptest::prelude::*;
    use serde_json::json;

    const FORMS: [EmbeddingsForm; 6] = [
        EmbeddingsForm::Openai,
        EmbeddingsForm::Mistral,
        EmbeddingsForm::Voyage,
        EmbeddingsForm::Cohere,
        EmbeddingsForm::Gemini,
        EmbeddingsForm::Vertex,
    ];

    fn said(form: EmbeddingsForm, body: &str) -> Value {
        let said = translate(body.as_bytes(), EmbeddingsForm::Openai, form, "theirs").unwrap();
        serde_json::from_slice(&said.body).unwrap()
    }

    #[test]
    fn each_form_says_the_same_its_own_way() {
        let body = r#"{"model":"m","input":["a","b"],"dimensions":2,"encoding_format":"base64",
                       "input_type":"query","user":"u"}"#;
        assert_eq!(
            said(EmbeddingsForm::Mistral, body),
            json!({"model": "theirs", "input": ["a", "b"], "output_dimension": 2})
        );
        assert_eq!(
            said(EmbeddingsForm::Voyage, body),
            json!({"model": "theirs", "input": ["a", "b"], "input_type": "query",
                   "output_dimension": 2, "encoding_format": "base64"})
        );
        assert_eq!(
            said(EmbeddingsForm::Cohere, body),
            json!({"model": "theirs", "texts": ["a", "b"], "input_type": "search_query",
                   "embedding_types": ["float"], "output_dimension": 2})
        );
        assert_eq!(
            said(EmbeddingsForm::Vertex, body),
            json!({"instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"},
                                 {"content": "b", "task_type": "RETRIEVAL_QUERY"}],
                   "parameters": {"outputDimensionality": 2}})
        );
        let one = |text: &str| {
            json!({"model": "models/theirs", "content": {"parts": [{"text": text}]},
                   "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2})
        };
        assert_eq!(said(EmbeddingsForm::Gemini, body), json!({"requests": [one("a"), one("b")]}));
    }

    #[test]
    fn gemini_asks_for_one_or_many() {
        let one = br#"{"content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_DOCUMENT"}"#;
        let read = decode_request(one, EmbeddingsForm::GeminiOne).unwrap();
        assert_eq!(read.inputs, [Input::Text("a".to_owned())]);
        assert_eq!(read.wishes[0].purpose, Some(VectorPurpose::Document));
        let many = br#"{"requests":[{"content":{"parts":[{"text":"a"}]},"output_dimensionality":3},
                                    {"content":{"parts":[{"text":"b"},{"text":"c"}]},"outputDimensionality":3}]}"#;
        let read = decode_request(many, EmbeddingsForm::Gemini).unwrap();
        assert_eq!((read.inputs.len(), read.wishes[0].dimensions), (2, Some(3)));
        assert!(matches!(read.inputs[1], Input::Parts(_)));
        // Texts of one content are embedded together.
        let sent = encode_request(&read, EmbeddingsForm::Openai, "m").unwrap().body;
        let sent: Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!(sent["input"], json!(["a", "b\nc"]));
        assert!(encode_request(&read, EmbeddingsForm::Gemini, "m").is_ok());
    }

    /// A batch of two texts with these members beside them.
    fn batch(first: Value, second: Value) -> Vec<u8> {
        let mut requests = [first, second];
        for (one, text) in requests.iter_mut().zip(["a", "b"]) {
            one["content"] = json!({"parts": [{"text": text}]});
        }
        json!({ "requests": requests }).to_string().into_bytes()
    }

    #[test]
    fn gemini_s_own_requests_go_on_to_it_as_they_are() {
        let body = batch(
            json!({"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 3}),
            json!({"taskType": "RETRIEVAL_DOCUMENT", "title": "T", "autoTruncate": true}),
        );
        let said = encode_at_home(&body, EmbeddingsForm::Gemini, "theirs").unwrap();
        let mut expected: Value = serde_json::from_slice(&body).unwrap();
        for one in expected["requests"].as_array_mut().unwrap() {
            one["model"] = json!("models/theirs");
        }
        assert_eq!(serde_json::from_slice::<Value>(&said).unwrap(), expected);
        let one = br#"{"model":"models/m","content":{"parts":[{"text":"a"}]},"taskType":"SEMANTIC_SIMILARITY"}"#;
        let said = encode_at_home(one, EmbeddingsForm::GeminiOne, "theirs").unwrap();
        let expected = json!({"requests": [{"model": "models/theirs",
            "content": {"parts": [{"text": "a"}]}, "taskType": "SEMANTIC_SIMILARITY"}]});
        assert_eq!(serde_json::from_slice::<Value>(&said).unwrap(), expected);
    }

    #[test]
    fn wishes_of_gemini_s_are_kept_for_each_text_named_or_refused() {
        let named = |said: &Encoded| -> Vec<String> {
            said.losses.iter().map(|loss| loss.field.to_string()).collect()
        };
        let mixed = batch(
            json!({"taskType": "CODE_RETRIEVAL_QUERY"}),
            json!({"taskType": "RETRIEVAL_DOCUMENT", "title": "T"}),
        );
        let vertex =
            translate(&mixed, EmbeddingsForm::Gemini, EmbeddingsForm::Vertex, "m").unwrap();
        assert!(named(&vertex).is_empty());
        assert_eq!(
            serde_json::from_slice::<Value>(&vertex.body).unwrap(),
            json!({"instances": [{"content": "a", "task_type": "CODE_RETRIEVAL_QUERY"},
                {"content": "b", "task_type": "RETRIEVAL_DOCUMENT", "title": "T"}]})
        );
        for form in [EmbeddingsForm::Cohere, EmbeddingsForm::Voyage] {
            let refused = translate(&mixed, EmbeddingsForm::Gemini, form, "m").unwrap_err();
            assert!(refused.to_string().contains("requests[1].taskType"), "{refused}");
        }
        // Who is told of no purpose at all mixes none.
        let openai =
            translate(&mixed, EmbeddingsForm::Gemini, EmbeddingsForm::Openai, "m").unwrap();
        assert_eq!(named(&openai), ["taskType", "title"]);
        let sizes = batch(json!({"outputDimensionality": 3}), json!({}));
        for form in [
            EmbeddingsForm::Openai,
            EmbeddingsForm::Cohere,
            EmbeddingsForm::Voyage,
            EmbeddingsForm::Mistral,
            EmbeddingsForm::Vertex,
        ] {
            assert!(translate(&sizes, EmbeddingsForm::Gemini, form, "m").is_err(), "{form:?}");
        }
        let alike = json!({"embedContentConfig": {"taskType": "SEMANTIC_SIMILARITY"}});
        let cohere = translate(
            &batch(alike.clone(), alike),
            EmbeddingsForm::Gemini,
            EmbeddingsForm::Cohere,
            "m",
        )
        .unwrap();
        assert_eq!(named(&cohere), ["taskType"]);
    }

    #[test]
    fn a_batch_that_is_too_large_for_its_provider_is_refused_with_the_number_that_is_not() {
        let of = |count: usize| json!({"model": "m", "input": vec!["a"; count]}).to_string();
        for (form, most) in [
            (EmbeddingsForm::Cohere, 96),
            (EmbeddingsForm::Gemini, 100),
            (EmbeddingsForm::Vertex, 250),
        ] {
            assert!(
                translate(of(most).as_bytes(), EmbeddingsForm::Openai, form, "m").is_ok(),
                "{form:?}"
            );
            let refused =
                translate(of(most + 1).as_bytes(), EmbeddingsForm::Openai, form, "m").unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("input"), "{form:?}");
            assert!(refused.to_string().contains(&most.to_string()), "{refused}");
        }
    }

    #[test]
    fn the_parts_of_a_batch_are_asked_for_and_answered_as_the_whole_is() {
        let texts: Vec<String> = (0..7).map(|number| number.to_string()).collect();
        let openai = json!({"model": "m", "input": texts, "dimensions": 3}).to_string();
        let one = |text: &String| json!({"content": {"parts": [{"text": text}]}, "title": text});
        let gemini = json!({"requests": texts.iter().map(one).collect::<Vec<_>>()}).to_string();
        for (body, form, list) in [
            (openai, EmbeddingsForm::Openai, "data"),
            (gemini, EmbeddingsForm::Gemini, "embeddings"),
        ] {
            let whole = decode_request(body.as_bytes(), form).unwrap();
            for most in 1..=8 {
                let parts = whole.parts(most);
                assert_eq!(parts.len(), 7_usize.div_ceil(most));
                let (mut first, mut answers) = (0, Vec::new());
                for part in &parts {
                    assert!(part.inputs.len() <= most);
                    for place in 0..part.inputs.len() {
                        assert_eq!(part.inputs[place], whole.inputs[first + place]);
                        assert_eq!(part.wish_of(place), whole.wish_of(first + place));
                    }
                    let vectors = (0..part.inputs.len())
                        .map(|place| {
                            Vector::Floats(vec![f32::from(u16::try_from(first + place).unwrap())])
                        })
                        .collect();
                    first += part.inputs.len();
                    let counted = json!({"promptTokenCount": 5,
                        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}]});
                    let told = json!({"embeddings": [{"values": [0.5]}], "usageMetadata": counted});
                    let usage = decode_reply(told.to_string().as_bytes()).unwrap().usage;
                    let reply = EmbeddingsReply { vectors, usage };
                    answers.push(encode_reply(reply, part, form, "m", 1).unwrap());
                }
                let told: Value = serde_json::from_slice(&joined(&answers).unwrap()).unwrap();
                let all = told[list].as_array().unwrap();
                assert_eq!(all.len(), 7);
                for (place, one) in all.iter().enumerate() {
                    let vector = one.get("values").or(one.get("embedding")).unwrap();
                    assert_eq!(
                        vector[0].as_f64(),
                        u32::try_from(place).ok().map(f64::from),
                        "{told}"
                    );
                    assert!(one.get("index").is_none_or(|index| *index == json!(place)), "{told}");
                }
                let sum = 5 * parts.len();
                let counts = match form {
                    EmbeddingsForm::Gemini => [
                        "/usageMetadata/promptTokenCount",
                        "/usageMetadata/promptTokensDetails/0/tokenCount",
                    ],
                    _ => ["/usage/prompt_tokens", "/usage/total_tokens"],
                };
                for count in counts {
                    assert_eq!(told.pointer(count), Some(&json!(sum)), "{told}");
                }
            }
        }
    }

    #[test]
    fn what_gemini_read_is_counted_by_its_medium() {
        for details in ["promptTokensDetails", "promptTokenDetails"] {
            let told = json!({"promptTokenCount": 1_000,
                details: [{"modality": "AUDIO", "tokenCount": 1_000}]});
            let body = json!({"embeddings": [{"values": [0.5]}], "usageMetadata": told});
            let reply = decode_reply(body.to_string().as_bytes()).unwrap();
            let usage = reply.usage.clone().unwrap();
            assert_eq!((usage.input, usage.more.audio_in), (0, 1_000), "{details}");
            let (request, form) = (EmbeddingsRequest::default(), EmbeddingsForm::Gemini);
            let told_on = encode_reply(reply, &request, form, "m", 1).unwrap();
            let told_on: Value = serde_json::from_slice(&told_on).unwrap();
            assert_eq!(told_on["usageMetadata"], told);
        }
    }

    #[test]
    fn any_answer_is_read_by_its_shape() {
        let half = Vector::Floats(vec![0.5]);
        for (body, tokens) in [
            (r#"{"data":[{"embedding":[0.5]}],"usage":{"prompt_tokens":3}}"#, Some(3)),
            (r#"{"data":[{"embedding":"AAAAPw=="}],"usage":{"total_tokens":4}}"#, Some(4)),
            (r#"{"embeddings":[{"values":[0.5]}]}"#, None),
            (r#"{"embedding":[0.5]}"#, None),
            (
                r#"{"predictions":[{"embeddings":{"values":[0.5],"statistics":{"token_count":6}}}]}"#,
                Some(6),
            ),
            (r#"{"embedding":{"values":[0.5]},"usageMetadata":{"promptTokenCount":2}}"#, Some(2)),
            (
                r#"{"embeddings":{"float":[[0.5]]},"meta":{"billed_units":{"input_tokens":5}}}"#,
                Some(5),
            ),
        ] {
            let mut reply = decode_reply(body.as_bytes()).unwrap();
            assert_eq!(reply.usage.map(|usage| usage.prompt()), tokens, "{body}");
            let vector = Vector::Floats(reply.vectors.remove(0).floats().unwrap());
            assert_eq!(vector, half, "{body}");
        }
        assert!(decode_reply(br#"{"detail":"no"}"#).is_err());
        assert!(decode_reply(br#"{"data":[{"embedding":"AAAA"}]}"#).is_ok());
    }

    proptest! {
        #[test]
        fn vectors_are_given_by_the_number_of_their_input(
            order in (1..8_u16).prop_flat_map(|count| Just((0..count).collect::<Vec<_>>()).prop_shuffle()),
        ) {
            let data = |indices: &[u16]| {
                let one = |index: &u16| json!({"index": index, "embedding": [f32::from(*index)]});
                json!({"data": indices.iter().map(one).collect::<Vec<_>>()}).to_string()
            };
            let whole = |indices: &[u16], inputs: usize| {
                decode_reply(data(indices).as_bytes())?.to_inputs(inputs)
            };
            let read = whole(&order, order.len()).unwrap();
            for (at, vector) in (0_u16..).zip(read.vectors) {
                prop_assert_eq!(vector.floats().unwrap(), [f32::from(at)]);
            }
            // One that is missing, and one that is there twice.
            prop_assert!(whole(&order[1..], order.len()).is_err());
            let mut twice = order.clone();
            twice.push(order[0]);
            prop_assert!(whole(&twice, order.len()).is_err());
            prop_assert!(whole(&twice, twice.len()).is_err());
        }
    }

    #[test]
    fn an_answer_that_is_not_whole_is_none_in_any_form() {
        for body in [
            r#"{"data":[{"embedding":[0.5]},{"embedding":[0.5]}]}"#,
            r#"{"data":[{"embedding":[0.5],"index":0},{"embedding":[0.5],"index":2}]}"#,
            r#"{"data":[{"embedding":[0.5],"index":0},{"embedding":[0.5]},{"embedding":[0.5],"index":2}]}"#,
            r#"{"embeddings":[{"values":[0.5]},{"values":[0.5]}]}"#,
            r#"{"embeddings":{"float":[[0.5],[0.5]]}}"#,
            r#"{"embeddings":[[0.5],[0.5]]}"#,
            r#"{"embedding":{"values":[0.5]}}"#,
            r#"{"predictions":[{"embeddings":{"values":[0.5]}}]}"#,
            r#"{"data":[]}"#,
        ] {
            let whole = decode_reply(body.as_bytes()).and_then(|reply| reply.to_inputs(3));
            assert!(whole.is_err(), "{body}");
        }
    }

    #[test]
    fn vectors_are_packed_as_the_sdks_unpack_them() {
        // Python: base64.b64encode(struct.pack("<3f", 0.5, -1, 2))
        assert_eq!(packed(&[0.5, -1.0, 2.0]), "AAAAPwAAgL8AAABA");
        assert_eq!(
            Vector::Packed("AAAAPwAAgL8AAABA".to_owned()).floats().unwrap(),
            [0.5, -1.0, 2.0]
        );
        assert!(Vector::Packed("AAA=".to_owned()).floats().is_err());
    }

    #[test]
    fn nothing_to_embed_is_refused() {
        for body in [
            r#"{"model":"m"}"#,
            r#"{"model":"m","input":[]}"#,
            r#"{"model":"m","input":{"a":1}}"#,
            r#"{"input":"a"}"#,
            r#"{"model":"m","input":"a","encoding_format":"x"}"#,
            r#"{"model":"m","input":"a","dimensions":0}"#,
        ] {
            assert!(head(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn tokens_go_only_where_they_are_understood() {
        let body = r#"{"model":"m","input":[[1,2],[3]]}"#;
        for form in FORMS {
            let said = translate(body.as_bytes(), EmbeddingsForm::Openai, form, "m");
            assert_eq!(said.is_ok(), form == EmbeddingsForm::Openai, "{form:?}");
        }
    }
}
