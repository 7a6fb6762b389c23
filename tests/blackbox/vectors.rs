//! Embeddings, pictures and counted tokens, from outside.

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, Received, client, respond, send};

/// A gateway with one model `m` of a mode at a provider that answers with `answer`.
fn serving(provider: &str, mode: &str, answer: Value) -> (Gateway, Provider) {
    serving_by(provider, mode, move |_| answer.clone())
}

/// As [`serving`], where the answer depends on the request.
fn serving_by(
    provider: &str,
    mode: &str,
    answer: impl Fn(&Value) -> Value + Send + Sync + 'static,
) -> (Gateway, Provider) {
    let upstream = Provider::start(move |socket, request, _| {
        let answer = answer(&request.json()).to_string();
        respond(socket, 200, "", "application/json", answer.as_bytes());
    });
    let gateway = Gateway::start(&format!(
        "[providers.{provider}]\nbase_url = \"{}\"\napi_key_file = \"key\"\n\
         [[models]]\nid = \"m\"\nmode = \"{mode}\"\ndeployments = [{{ provider = \"{provider}\", model = \"theirs\" }}]\n",
        upstream.base
    ));
    (gateway, upstream)
}

fn path(received: &Received) -> String {
    received.head.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn each_maker_of_vectors_is_asked_its_own_way() {
    let body = json!({"model": "m", "input": ["a", "b"], "dimensions": 2, "user": "u"}).to_string();
    let cases = [
        (
            "cohere",
            json!({"embeddings": {"float": [[1.0, 2.0], [3.0, 4.0]]},
                   "meta": {"billed_units": {"input_tokens": 2}}}),
            "/embed",
            json!({"model": "theirs", "texts": ["a", "b"], "input_type": "search_document",
                   "embedding_types": ["float"], "output_dimension": 2}),
        ),
        (
            "voyage",
            json!({"object": "list", "model": "theirs", "usage": {"total_tokens": 2},
                   "data": [{"embedding": [1.0, 2.0], "index": 0}, {"embedding": [3.0, 4.0], "index": 1}]}),
            "/embeddings",
            json!({"model": "theirs", "input": ["a", "b"], "output_dimension": 2}),
        ),
        (
            "mistral",
            json!({"object": "list", "model": "theirs", "usage": {"prompt_tokens": 2, "total_tokens": 2},
                   "data": [{"embedding": [1.0, 2.0], "index": 0}, {"embedding": [3.0, 4.0], "index": 1}]}),
            "/embeddings",
            json!({"model": "theirs", "input": ["a", "b"], "output_dimension": 2}),
        ),
        (
            "gemini",
            json!({"embeddings": [{"values": [1.0, 2.0]}, {"values": [3.0, 4.0]}]}),
            "/models/theirs:batchEmbedContents",
            json!({"requests": [
                {"model": "models/theirs", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 2},
                {"model": "models/theirs", "content": {"parts": [{"text": "b"}]}, "outputDimensionality": 2},
            ]}),
        ),
    ];
    for (provider, answer, at, asked) in cases {
        let (gateway, upstream) =
            serving_by(provider, "embedding", move |asked| first(&answer, inputs(asked)));
        let told = gateway.post("/v1/embeddings", KEY, body.clone()).json();
        assert_eq!((path(&upstream.last()), upstream.last().json()), (at.to_owned(), asked));
        assert_eq!(told["data"][1]["embedding"], json!([3.0, 4.0]), "{provider}");
        assert_eq!((&told["model"], told["data"][1]["index"].as_u64()), (&json!("m"), Some(1)));
        assert!(told["usage"]["prompt_tokens"].as_u64().unwrap() > 0);

        // The same from Gemini's surface.
        let asked = json!({"content": {"parts": [{"text": "a"}]}}).to_string();
        let told = gateway.post("/v1beta/models/m:embedContent", KEY, asked).json();
        assert_eq!(told["embedding"]["values"], json!([1.0, 2.0]), "{provider}: {told}");
    }
}

/// How many inputs a provider is asked to embed, in whichever form.
fn inputs(asked: &Value) -> usize {
    let list = ["input", "texts", "requests", "instances"].iter().find_map(|name| asked.get(*name));
    list.and_then(Value::as_array).map_or(1, Vec::len)
}

/// An answer cut to its first vectors.
fn first(answer: &Value, count: usize) -> Value {
    let mut answer = answer.clone();
    for list in ["/data", "/embeddings", "/embeddings/float", "/predictions"] {
        if let Some(Value::Array(all)) = answer.pointer_mut(list) {
            all.truncate(count);
        }
    }
    answer
}

#[test]
fn a_vector_is_of_the_input_whose_number_it_bears_and_none_is_missing() {
    let numbered = |indices: &[u32]| {
        let one = |index: &u32| json!({"embedding": [f64::from(*index)], "index": index});
        json!({"object": "list", "model": "theirs", "usage": {"prompt_tokens": 3, "total_tokens": 3},
               "data": indices.iter().map(one).collect::<Vec<_>>()})
    };
    let asked = json!({"model": "m", "input": ["zero", "one", "two"]}).to_string();
    let text = |text: &str| json!({"content": {"parts": [{"text": text}]}});
    let batch = json!({"requests": [text("zero"), text("one"), text("two")]}).to_string();
    for provider in ["voyage", "mistral", "openai"] {
        let (gateway, _upstream) = serving(provider, "embedding", numbered(&[2, 0, 1]));
        let told = gateway.post("/v1/embeddings", KEY, asked.clone()).json();
        for one in told["data"].as_array().unwrap() {
            assert_eq!(one["embedding"][0].as_f64(), one["index"].as_f64(), "{provider}: {told}");
        }
        let told = gateway.post("/v1beta/models/m:batchEmbedContents", KEY, batch.clone()).json();
        for (at, one) in (0_u32..).zip(told["embeddings"].as_array().unwrap()) {
            assert_eq!(one["values"], json!([f64::from(at)]), "{provider}: {told}");
        }
        // A vector that is missing makes the answer none.
        let (gateway, _upstream) = serving(provider, "embedding", numbered(&[0, 2]));
        let told = gateway.post("/v1beta/models/m:batchEmbedContents", KEY, batch.clone());
        assert_eq!(told.status, 503, "{provider}: {}", told.text());
    }
}

fn record(gateway: &Gateway, id: &str) -> Value {
    gateway.get(&format!("/v1/requests/{id}"), KEY).json()
}

#[test]
fn a_batch_beyond_what_a_provider_takes_is_asked_for_in_parts_and_booked_once() {
    // Each text is a number, and each vector is it.
    let vectors = |asked: &Value| -> Vec<Value> {
        let list = ["texts", "requests", "instances", "input"];
        let all = list.iter().find_map(|name| asked.get(*name)?.as_array()).unwrap().clone();
        let text = |one: &Value| {
            let nested = one.pointer("/content/parts/0/text").or_else(|| one.get("content"));
            nested.unwrap_or(one).as_str().unwrap().parse::<f64>().unwrap()
        };
        all.iter().map(|one| json!([text(one)])).collect()
    };
    for (provider, most) in [("cohere", 96), ("gemini", 100), ("voyage", 1_000)] {
        let (gateway, upstream) = serving_by(provider, "embedding", move |asked| {
            let all = vectors(asked);
            assert!(all.len() <= most);
            match provider {
                "cohere" => json!({"embeddings": {"float": all},
                    "meta": {"billed_units": {"input_tokens": all.len()}}}),
                "gemini" => {
                    let each = all.iter().map(|one| json!({"values": one}));
                    json!({"embeddings": each.collect::<Vec<_>>()})
                }
                _ => {
                    let each = all.iter().enumerate();
                    let data = each.map(|(at, one)| json!({"index": at, "embedding": one}));
                    json!({"data": data.collect::<Vec<_>>(), "usage": {"total_tokens": all.len()}})
                }
            }
        });
        let count = 2 * most + 3_usize;
        let texts: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let body = json!({"model": "m", "input": texts}).to_string();
        let answer = gateway.post("/v1/embeddings", KEY, body);
        let told = answer.json();
        let data = told["data"].as_array().unwrap_or_else(|| panic!("{provider}: {told}"));
        assert_eq!((data.len(), upstream.count()), (count, 3), "{provider}");
        for (at, one) in (0_u32..).zip(data) {
            assert_eq!(one["index"], json!(at));
            assert_eq!(one["embedding"][0].as_f64(), Some(f64::from(at)), "{provider}");
        }
        if provider != "gemini" {
            assert_eq!(told["usage"]["prompt_tokens"], json!(count), "{provider}");
        }
        // One request, one line of the books.
        let line = record(&gateway, answer.header("x-request-id"));
        assert_eq!(line["status"], "complete", "{line}");
    }
}

#[test]
fn a_batch_of_which_a_part_fails_is_no_answer_and_costs_nothing() {
    let (gateway, upstream) = serving_by("cohere", "embedding", |asked| {
        let all = asked["texts"].as_array().unwrap();
        match all.len() {
            96 => json!({"embeddings": {"float": vec![json!([1.0]); 96]}}),
            // A vector is missing.
            _ => json!({"embeddings": {"float": []}}),
        }
    });
    let body = json!({"model": "m", "input": vec!["a"; 100]}).to_string();
    let told = gateway.post("/v1/embeddings", KEY, body);
    assert_eq!(told.status, 503, "{}", told.text());
    assert!(upstream.count() >= 2);
    let line = record(&gateway, told.header("x-request-id"));
    assert_eq!((&line["status"], &line["credits"]), (&json!("failed"), &json!(0)), "{line}");
}

#[test]
fn pictures_as_bytes_get_an_address_for_a_while() {
    const RED: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
    let answer = json!({
        "candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": RED}}]}}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1290},
    });
    let (gateway, upstream) = serving("gemini", "image", answer);
    let draw = |body: Value| gateway.post("/v1/images/generations", KEY, body.to_string());
    let drawn = draw(json!({"model": "m", "prompt": "a cat", "n": 2, "size": "1792x1024"})).json();
    assert_eq!(upstream.count(), 2);
    let asked = upstream.last();
    assert_eq!(path(&asked), "/models/theirs:generateContent");
    assert_eq!(asked.json()["generationConfig"]["imageConfig"]["aspectRatio"], "16:9");
    assert_eq!(
        (drawn["data"].as_array().unwrap().len(), &drawn["usage"]["total_tokens"]),
        (2, &json!(2586))
    );
    let url = drawn["data"][0]["url"].as_str().unwrap();
    assert!(url.starts_with(&gateway.base), "{url}");
    // Whoever has the address needs no key.
    let seen = send(client().get(url));
    assert_eq!((seen.status, seen.header("content-type")), (200, "image/png"));
    assert!(seen.body.starts_with(b"\x89PNG"));
    assert_eq!(
        send(client().get(format!("{}/v1/images/files/guess.png", gateway.base))).status,
        404
    );

    let bytes =
        draw(json!({"model": "m", "prompt": "a cat", "response_format": "b64_json"})).json();
    assert_eq!(bytes["data"][0]["b64_json"], RED);
    for (field, bad) in [("n", json!(9)), ("size", json!("1x1")), ("quality", json!("x"))] {
        let mut body = json!({"model": "m", "prompt": "a cat"});
        body[field] = bad;
        let refused = draw(body);
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!(field)));
    }
}

/// What a provider cannot be told of pictures and vectors is refused in strict mode, as it is in conversation.
#[test]
fn strict_mode_holds_for_vectors_and_pictures() {
    let vector = json!({"data": [{"embedding": [0.5], "index": 0}], "usage": {"prompt_tokens": 1}});
    let parts = json!([{"inlineData": {"mimeType": "image/png", "data": ""}}]);
    let picture = json!({"candidates": [{"content": {"parts": parts}}]});
    let wants = json!({"content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY"});
    let draws = json!({"model": "m", "prompt": "a cat", "style": "vivid"});
    for (provider, mode, answer, path, body, field) in [
        ("openai", "embedding", vector, "/v1beta/models/m:embedContent", wants, "taskType"),
        ("gemini", "image", picture, "/v1/images/generations", draws, "style"),
    ] {
        let (gateway, upstream) = serving(provider, mode, answer);
        let ask = |strict: &str| {
            let asking = client().post(format!("{}{path}", gateway.base)).bearer_auth(KEY);
            let asking = asking.header("content-type", "application/json");
            send(asking.header("x-optimux-strict", strict).body(body.to_string()))
        };
        let refused = ask("true");
        assert_eq!(refused.status, 400, "{path}: {}", refused.text());
        assert!(refused.text().contains(field), "{path}: {}", refused.text());
        assert_eq!(upstream.count(), 0, "{path}");
        let told = ask("false");
        let dropped = told.header("x-optimux-dropped");
        assert_eq!((told.status, dropped), (200, field), "{path}: {}", told.text());
    }
}

#[test]
fn pictures_of_openai_pass_as_they_come() {
    let answer = json!({"created": 7, "data": [{"url": "https://x/y.png", "revised_prompt": "r"}], "new": 1});
    let (gateway, upstream) = serving("openai", "image", answer.clone());
    let body = json!({"model": "m", "prompt": "a cat", "style": "vivid", "user": "u"});
    let drawn = gateway.post("/v1/images/generations", KEY, body.to_string());
    assert_eq!(drawn.json(), answer);
    let mut expected = body;
    expected["model"] = json!("theirs");
    assert_eq!(upstream.last().json(), expected);
}

#[test]
fn tokens_are_counted_by_who_knows() {
    let (gateway, upstream) = serving("anthropic", "chat", json!({"input_tokens": 1234}));
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hello there"}]});
    let count = |path: &str, body: &Value| gateway.post(path, KEY, body.to_string()).json();
    assert_eq!(count("/v1/messages/count_tokens", &body)["input_tokens"], 1234);
    assert_eq!(path(&upstream.last()), "/messages/count_tokens");
    // Nobody there speaks Gemini, so it is an estimate.
    let contents = json!({"contents": [{"parts": [{"text": "hello there"}]}]});
    let estimate = count("/v1beta/models/m:countTokens", &contents)["totalTokens"].as_u64();
    assert!((2..40).contains(&estimate.unwrap()));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_picture_is_booked_by_its_size_and_quality() {
    // The first says what it drew, the second does not.
    let usage = json!({"input_tokens": 1000, "output_tokens": 1056, "total_tokens": 2056,
        "input_tokens_details": {"text_tokens": 600, "image_tokens": 400}});
    let echoed = json!({"created": 7, "data": [{"b64_json": "AAAA"}], "usage": usage,
        "size": "1536x1024", "quality": "low"});
    let silent = json!({"created": 7, "data": [{"b64_json": "AAAA"}], "usage": usage});
    let prices = "prices = [{ usd_per_million = { input = 5.0, image_in = 10.0, image_out = 40.0 }, pictures = [\
         { size = \"1536x1024\", quality = \"low\", usd = 0.016 }, \
         { size = \"1024x1024\", quality = \"hd\", usd = 0.1 }, \
         { size = \"1024x1024\", quality = \"standard\", usd = 0.05 }] }]";
    let by_token =
        "prices = [{ usd_per_million = { input = 5.0, image_in = 10.0, image_out = 40.0 } }]";
    let read = 600 * 5_000 + 400 * 10_000;
    for (answer, prices, drawn) in [
        (&echoed, prices, 16_000_000),
        (&silent, prices, 50_000_000),
        (&silent, by_token, 1_056 * 40_000),
    ] {
        let answer = answer.clone();
        let upstream = Provider::start(move |socket, _, _| {
            respond(socket, 200, "", "application/json", answer.to_string().as_bytes());
        });
        let gateway = Gateway::start(&format!(
            "[providers.openai]\nbase_url = \"{}\"\napi_key_file = \"key\"\n\
             [[models]]\nid = \"m\"\nmode = \"image\"\ndeployments = [{{ provider = \"openai\", model = \"theirs\", {prices} }}]\n",
            upstream.base
        ));
        let body = json!({"model": "m", "prompt": "a cat", "response_format": "b64_json"});
        let told = gateway.post("/v1/images/generations", KEY, body.to_string());
        let id = told.header("x-request-id");
        let booked = gateway.get(&format!("/v1/requests/{id}"), KEY).json();
        assert_eq!(booked["cost_nano_usd"], read + drawn, "{booked}");
        assert_eq!(booked["usage"]["images"], 1);
    }
}

#[test]
fn gemini_s_own_wishes_for_each_text_reach_it_and_its_count_comes_back() {
    let usage = json!({"promptTokenCount": 1_000,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1_000}]});
    let answer =
        json!({"embeddings": [{"values": [1.0]}, {"values": [2.0]}], "usageMetadata": usage});
    let (gateway, upstream) = serving("gemini", "embedding", answer);
    let one = |model: &str, text: &str, wishes: Value| {
        let mut one = json!({"model": model, "content": {"parts": [{"text": text}]}});
        one.as_object_mut().unwrap().extend(wishes.as_object().unwrap().clone());
        one
    };
    let batch = |model: &str| {
        json!({"requests": [
            one(model, "a", json!({"taskType": "SEMANTIC_SIMILARITY", "outputDimensionality": 3})),
            one(model, "b", json!({"taskType": "RETRIEVAL_DOCUMENT", "title": "T", "autoTruncate": true})),
        ]})
    };
    let told =
        gateway.post("/v1beta/models/m:batchEmbedContents", KEY, batch("models/m").to_string());
    assert_eq!(upstream.last().json(), batch("models/theirs"));
    assert_eq!(told.json()["usageMetadata"], usage, "{}", told.text());

    // Where the maker has one place for all texts, those that differ are refused by name.
    let answer = json!({"embeddings": {"float": [[1.0], [2.0]]}});
    let (gateway, upstream) = serving("cohere", "embedding", answer);
    let told =
        gateway.post("/v1beta/models/m:batchEmbedContents", KEY, batch("models/m").to_string());
    assert_eq!((told.status, upstream.count()), (400, 0), "{}", told.text());
    assert!(told.text().contains("requests[1]."), "{}", told.text());
}

#[test]
fn a_model_that_draws_and_talks_is_asked_in_conversation_too() {
    const RED: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
    let answer = json!({
        "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
            {"text": "Here:"}, {"inlineData": {"mimeType": "image/png", "data": RED}}]}}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1290, "totalTokenCount": 1293,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}]},
    });
    let upstream = Provider::start(move |socket, _, _| {
        respond(socket, 200, "", "application/json", answer.to_string().as_bytes());
    });
    let model = |id: &str, output: &str| {
        format!(
            "[[models]]\nid = \"{id}\"\nmode = \"image\"\noutput = {output}\ndeployments = [\
             {{ provider = \"gemini\", usd_per_million = {{ input = 1.0, output = 2.0, image_out = 30.0 }} }}]\n"
        )
    };
    let gateway = Gateway::start(&format!(
        "[providers.gemini]\nbase_url = \"{}\"\napi_key_file = \"key\"\n[credits]\nimage = 3\n{}{}",
        upstream.base,
        model("talks", "[\"text\", \"image\"]"),
        model("draws", "[\"image\"]"),
    ));
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "a cat"}]}]}).to_string();
    let told = gateway.post("/v1beta/models/talks:generateContent", KEY, body.clone());
    assert_eq!(told.status, 200, "{}", told.text());
    let parts = &told.json()["candidates"][0]["content"]["parts"];
    assert_eq!(parts[1]["inlineData"]["data"], RED);
    // Booked by the tokens of its picture, and as one picture.
    let line = record(&gateway, told.header("x-request-id"));
    assert_eq!((&line["status"], &line["credits"]), (&json!("complete"), &json!(3)), "{line}");
    assert_eq!(line["cost_nano_usd"], json!(3_000 + 1_290 * 30_000), "{line}");
    // One that does nothing but draw is asked for pictures alone.
    let told = gateway.post("/v1beta/models/draws:generateContent", KEY, body);
    assert_eq!((told.status, upstream.count()), (400, 1), "{}", told.text());
}
