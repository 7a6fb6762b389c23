//! What every dialect's codec makes of usage: whole answers, streams that are read, and streams
//! that pass unread.

mod spelled;
mod totals;

use serde_json::{Value, json};

use super::frame::Frame;
use super::vocab::{Class, Dialect, Event, Protocol, RareUsage, Usage};
use super::{codec, provider_side, realtime};

const ALL: [Dialect; 4] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini];

fn whole(dialect: Dialect, answer: &Value) -> Usage {
    let body = answer.to_string();
    let codec = codec(dialect);
    let usage = codec.usage(body.as_bytes()).unwrap();
    // Passed on unread or decoded, it is the same.
    let decoded = codec.decode_reply(body.as_bytes()).unwrap();
    assert_eq!(decoded.usage.as_ref(), Some(&usage));
    usage
}

/// What a stream comes to: the same, whether it is read or tapped.
fn streamed(dialect: Dialect, frames: &[Value]) -> Usage {
    let codec = codec(dialect);
    let (mut reader, mut events) = (codec.reader(), Vec::new());
    let mut tapped: Option<Usage> = None;
    for frame in frames {
        let data = frame.to_string();
        let event = frame.get("type").and_then(Value::as_str).unwrap_or_default();
        reader.read(&Frame { event, data: data.as_bytes() }, &mut events).unwrap();
        if let Some(later) = codec.tap(data.as_bytes()).usage {
            tapped = Some(match tapped {
                Some(earlier) => earlier.updated(later),
                None => later,
            });
        }
    }
    let read = events.into_iter().rev().find_map(|event| match event {
        Event::Usage(usage) => Some(usage),
        _ => None,
    });
    let (read, tapped) = (read.unwrap(), tapped.unwrap());
    assert_eq!(Usage { raw: None, ..read.clone() }, Usage { raw: None, ..tapped });
    read
}

fn chat(usage: Value, tier: &str) -> Value {
    let message = json!({"role": "assistant", "content": "Hello."});
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage, "service_tier": tier})
}

#[test]
fn chat_tells_media_caches_reasoning_and_class_apart() {
    let usage = whole(
        Dialect::OpenAiChat,
        &chat(
            json!({
                "prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
                "prompt_tokens_details": {
                    "audio_tokens": 300, "image_tokens": 200, "cached_tokens": 400,
                    "cache_write_tokens": 50,
                    "cached_tokens_details": {"audio_tokens": 100, "image_tokens": 20},
                },
                "completion_tokens_details": {"audio_tokens": 40, "reasoning_tokens": 25},
            }),
            "flex",
        ),
    );
    let more = RareUsage {
        audio_in: 200,
        image_in: 180,
        cache_read_audio: 100,
        cache_read_image: 20,
        audio_out: 40,
        class: Class::Flex,
        ..RareUsage::default()
    };
    assert_eq!((usage.input, usage.cache_read, usage.cache_write), (170, 280, 50));
    assert_eq!((usage.output, usage.thought, usage.more), (35, 25, more));
    assert_eq!((usage.prompt(), usage.completion()), (1000, 100));
}

#[test]
fn chat_knows_what_its_many_speakers_say() {
    let of = |usage: Value, tier: &str| whole(Dialect::OpenAiChat, &chat(usage, tier));
    // OpenAI answers `priority`, whichever word was asked with.
    let plain = json!({"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6});
    for (word, class) in [
        ("default", Class::Standard),
        ("on_demand", Class::Standard),
        ("", Class::Standard),
        ("priority", Class::Priority),
        ("fast", Class::Priority),
    ] {
        assert_eq!(of(plain.clone(), word).more.class, class, "{word}");
    }
    // OpenRouter's search; xAI's sources.
    let searched = json!({"prompt_tokens": 2317, "completion_tokens": 53, "total_tokens": 2370,
        "server_tool_use_details": {"web_search_requests": 1, "tool_calls_executed": 1}});
    assert_eq!(of(searched, "").more.searches, 1);
    let sourced = json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12,
        "num_sources_used": 4});
    assert_eq!(of(sourced, "default").more.searches, 4);
    // xAI's reasoning is beside the completion, Mistral's sounds beside the prompt.
    let xai = of(
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 95,
            "completion_tokens_details": {"reasoning_tokens": 80}}),
        "",
    );
    assert_eq!((xai.output, xai.thought, xai.completion()), (5, 80, 85));
    let mistral = of(
        json!({"prompt_tokens": 5, "total_tokens": 391, "completion_tokens": 11,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 375}}),
        "",
    );
    assert_eq!((mistral.input, mistral.more.audio_in, mistral.total()), (5, 375, 391));
    let gemini = of(json!({"prompt_tokens": 66, "completion_tokens": 6, "total_tokens": 100}), "");
    assert_eq!((gemini.prompt(), gemini.output, gemini.thought), (66, 6, 28));
    // The same beside details of something else.
    for details in [
        json!({"prompt_tokens_details": {"cached_tokens": 50}}),
        json!({"completion_tokens_details": {"reasoning_tokens": 0}}),
        json!({"completion_tokens_details": {"reasoning_tokens": 4}}),
    ] {
        let mut usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 200});
        usage.as_object_mut().unwrap().extend(details.as_object().unwrap().clone());
        let usage = of(usage, "");
        assert_eq!((usage.prompt(), usage.output, usage.thought), (100, 10, 90), "{details}");
    }
    // Azure's Grok says that more was cached than there was.
    let grok = of(
        json!({"prompt_tokens": 23, "completion_tokens": 110, "total_tokens": 133,
            "prompt_tokens_details": {"cached_tokens": 190, "text_tokens": 23}}),
        "",
    );
    assert_eq!((grok.input, grok.cache_read, grok.total()), (0, 23, 133));
    // Moonshot's caches, and Writer's spelling.
    let moonshot = json!({"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10,
        "cached_tokens": 8});
    assert_eq!(of(moonshot, "").cache_read, 8);
    let writer = json!({"prompt_tokens": 40, "total_tokens": 340, "completion_tokens": 300,
        "prompt_token_details": {"cached_tokens": 7}});
    assert_eq!(of(writer, "").cache_read, 7);
}

#[test]
fn chat_streams_say_it_at_the_end() {
    let chunk = |choices: Value, usage: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": choices, "usage": usage, "service_tier": "priority"})
    };
    let delta = json!([{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]);
    let usage = json!({"prompt_tokens": 64, "completion_tokens": 9, "total_tokens": 73,
        "prompt_tokens_details": {"audio_tokens": 44, "cached_tokens": 0}});
    let usage =
        streamed(Dialect::OpenAiChat, &[chunk(delta, Value::Null), chunk(json!([]), usage)]);
    assert_eq!((usage.input, usage.more.audio_in), (20, 44));
    assert_eq!((usage.output, usage.more.class), (9, Class::Priority));
}

fn response() -> Value {
    let search = |action: &str| json!({"type": "web_search_call", "action": {"type": action}});
    json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "m",
    "status": "completed", "service_tier": "flex",
    "output": [
        search("search"), search("open_page"), search("search"), search("find_in_page"),
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "message", "id": "m", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "x", "annotations": []}]},
    ],
    "usage": {
        "input_tokens": 4020, "output_tokens": 105, "total_tokens": 4125,
        "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 3000,
            "cache_write_tokens_details": {"ttl_12h_tokens": 1000, "ttl_30m_tokens": 2000}},
        "output_tokens_details": {"reasoning_tokens": 64},
    }})
}

#[test]
fn responses_tell_searches_and_lifetimes() {
    let end = json!({"type": "response.completed", "response": response()});
    let started = json!({"type": "response.created", "response": {"id": "resp_1", "model": "m",
        "service_tier": "auto", "usage": null}});
    for usage in [
        whole(Dialect::OpenAiResponses, &response()),
        streamed(Dialect::OpenAiResponses, &[started, end]),
    ] {
        assert_eq!((usage.input, usage.cache_read, usage.cache_write), (20, 1000, 2000));
        assert_eq!((usage.output, usage.thought), (41, 64));
        let more = RareUsage {
            cache_write_long: 1000,
            searches: 3,
            class: Class::Flex,
            ..RareUsage::default()
        };
        assert_eq!(usage.more, more);
    }
}

fn message(usage: Value) -> Value {
    json!({"id": "m", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn",
        "stop_sequence": null, "usage": usage})
}

#[test]
fn what_other_models_did_is_told_apart() {
    let advised = json!({"input_tokens": 412, "output_tokens": 531, "iterations": [
        {"type": "message", "input_tokens": 412, "output_tokens": 89},
        {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 823, "output_tokens": 1612},
        {"type": "message", "input_tokens": 1348, "output_tokens": 442},
        {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 177,
         "cache_read_input_tokens": 20, "output_tokens": 388}]});
    let usage = whole(Dialect::Anthropic, &message(advised));
    assert_eq!((usage.input, usage.output), (412, 531));
    let [aside] = usage.asides.as_slice() else { panic!("{usage:?}") };
    assert_eq!(aside.model.as_deref(), Some("claude-opus-4-8"));
    assert_eq!((aside.usage.input, aside.usage.cache_read, aside.usage.output), (1000, 20, 2000));

    let mut drawn = response();
    drawn["tools"] = json!([{"type": "image_generation", "model": "gpt-image-1.5"}]);
    drawn["tool_usage"] = json!({
        "image_gen": {"input_tokens": 43, "output_tokens": 1056, "total_tokens": 1099,
            "input_tokens_details": {"text_tokens": 43, "image_tokens": 0},
            "output_tokens_details": {"text_tokens": 0, "image_tokens": 1056}},
        "web_search": {"num_requests": 4}});
    let end = json!({"type": "response.completed", "response": drawn});
    for usage in
        [whole(Dialect::OpenAiResponses, &drawn), streamed(Dialect::OpenAiResponses, &[end])]
    {
        let [aside] = usage.asides.as_slice() else { panic!("{usage:?}") };
        assert_eq!(aside.model.as_deref(), Some("gpt-image-1.5"));
        assert_eq!((aside.usage.input, aside.usage.more.image_out), (43, 1056));
        assert_eq!(usage.more.searches, 4);
    }
    // Nothing was drawn.
    drawn["tool_usage"]["image_gen"] =
        json!({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0});
    assert!(whole(Dialect::OpenAiResponses, &drawn).asides.is_empty());
}

#[test]
fn anthropic_tells_lifetimes_searches_speed_and_region() {
    let usage = whole(
        Dialect::Anthropic,
        &message(json!({
            "input_tokens": 16, "cache_creation_input_tokens": 7049,
            "cache_read_input_tokens": 13637, "output_tokens": 344,
            "cache_creation":
                {"ephemeral_1h_input_tokens": 7000, "ephemeral_5m_input_tokens": 49},
            "output_tokens_details": {"thinking_tokens": 33},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
            "service_tier": "priority", "speed": "fast", "inference_geo": "us",
        })),
    );
    assert_eq!((usage.input, usage.cache_read, usage.cache_write), (16, 13637, 49));
    assert_eq!((usage.output, usage.thought), (311, 33));
    let more = RareUsage {
        cache_write_long: 7000,
        searches: 2,
        class: Class::Fast,
        regional: true,
        ..RareUsage::default()
    };
    assert_eq!(usage.more, more);
    for (tier, geo, class) in [
        ("standard", "global", Class::Standard),
        ("batch", "not_available", Class::Batch),
        ("priority", "eu", Class::Priority),
    ] {
        let plain = json!({"input_tokens": 3, "output_tokens": 1, "service_tier": tier,
            "speed": "standard", "inference_geo": geo});
        let more = whole(Dialect::Anthropic, &message(plain)).more;
        assert_eq!((more.class, more.regional), (class, false), "{tier}");
    }
    // Compacting the context is charged beside the rest.
    let compacted = whole(
        Dialect::Anthropic,
        &message(json!({"input_tokens": 220, "output_tokens": 30, "iterations": [
            {"type": "compaction", "input_tokens": 55196, "output_tokens": 125},
            {"type": "message", "input_tokens": 220, "output_tokens": 30},
        ]})),
    );
    assert_eq!((compacted.input, compacted.output), (55416, 155));
}

#[test]
fn anthropic_streams_begin_and_end_with_it() {
    let start = json!({"type": "message_start", "message": message(json!({
        "input_tokens": 10, "cache_creation_input_tokens": 120, "cache_read_input_tokens": 5,
        "cache_creation": {"ephemeral_1h_input_tokens": 100, "ephemeral_5m_input_tokens": 20},
        "output_tokens": 1, "service_tier": "standard", "inference_geo": "us",
    }))});
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {
        "input_tokens": 2482, "cache_creation_input_tokens": 120, "cache_read_input_tokens": 5,
        "output_tokens": 289, "server_tool_use": {"web_search_requests": 1},
    }});
    let usage = streamed(Dialect::Anthropic, &[start.clone(), end]);
    assert_eq!((usage.input, usage.cache_read, usage.cache_write), (2482, 5, 20));
    let more =
        RareUsage { cache_write_long: 100, searches: 1, regional: true, ..RareUsage::default() };
    assert_eq!((usage.output, usage.more), (289, more));
    // Older versions count only the output at the end.
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 289}});
    let usage = streamed(Dialect::Anthropic, &[start, end]);
    assert_eq!((usage.prompt(), usage.more.cache_write_long, usage.output), (135, 100, 289));
}

fn content(model: &str, queries: &[&str], usage: Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]},
            "finishReason": "STOP", "index": 0,
            "groundingMetadata": {"webSearchQueries": queries}}],
        "usageMetadata": usage, "modelVersion": model, "responseId": "r"})
}

fn by_medium(counts: &[(&str, u64)]) -> Value {
    let entry = |(medium, count): &(&str, u64)| json!({"modality": medium, "tokenCount": count});
    counts.iter().map(entry).collect()
}

#[test]
fn gemini_tells_media_apart() {
    let usage = whole(
        Dialect::Gemini,
        &content(
            "gemini-3-flash",
            &[],
            json!({
                "promptTokenCount": 17713, "cachedContentTokenCount": 17379,
                "candidatesTokenCount": 68, "thoughtsTokenCount": 821, "totalTokenCount": 18602,
                "cacheTokensDetails": by_medium(&[("AUDIO", 1881), ("TEXT", 15), ("VIDEO", 15483)]),
                "promptTokensDetails":
                    by_medium(&[("TEXT", 16), ("VIDEO", 15780), ("AUDIO", 1917)]),
                "serviceTier": "standard",
            }),
        ),
    );
    assert_eq!((usage.input, usage.cache_read), (1, 15498));
    let more =
        RareUsage { audio_in: 36, cache_read_audio: 1881, video_in: 297, ..RareUsage::default() };
    assert_eq!((usage.more, usage.output, usage.thought), (more, 68, 821));
    assert_eq!(usage.total(), 18602);
    // A picture that was drawn; a document is text; tools bring more to read.
    let usage = whole(
        Dialect::Gemini,
        &content(
            "gemini-3-pro-image",
            &[],
            json!({
                "promptTokenCount": 328, "candidatesTokenCount": 1518, "totalTokenCount": 2135,
                "promptTokensDetails":
                    by_medium(&[("TEXT", 70), ("DOCUMENT", 200), ("IMAGE", 58)]),
                "candidatesTokensDetails": by_medium(&[("IMAGE", 1120)]),
                "toolUsePromptTokenCount": 289,
                "toolUsePromptTokensDetails": by_medium(&[("TEXT", 280), ("IMAGE", 9)]),
                "trafficType": "ON_DEMAND_PRIORITY",
            }),
        ),
    );
    let more =
        RareUsage { image_in: 67, image_out: 1120, class: Class::Priority, ..RareUsage::default() };
    assert_eq!((usage.input, usage.output, usage.more), (550, 398, more));
    // Vertex writes enums as integers at times.
    let usage = whole(
        Dialect::Gemini,
        &content(
            "gemini-2.5-flash",
            &[],
            json!({"promptTokenCount": 9, "totalTokenCount": 9, "trafficType": 1,
                "promptTokensDetails": [{"modality": 1, "tokenCount": 5},
                    {"modality": 4, "tokenCount": 4}]}),
        ),
    );
    assert_eq!((usage.input, usage.more.audio_in, usage.more.class), (5, 4, Class::Standard));
}

#[test]
fn gemini_searches_are_counted_as_they_are_charged() {
    let usage = || json!({"promptTokenCount": 5, "totalTokenCount": 5, "serviceTier": "flex"});
    let queries = ["", "largest city in Mexico", "ruby", "ruby"];
    for (model, count) in
        [("gemini-3-flash", 2), ("gemini-4-argon", 2), ("gemini-2.5-pro", 1), ("", 2)]
    {
        let usage = whole(Dialect::Gemini, &content(model, &queries, usage()));
        assert_eq!((usage.more.searches, usage.more.class), (count, Class::Flex), "{model}");
    }
    let silent = whole(Dialect::Gemini, &content("gemini-2.5-pro", &[""], usage()));
    assert_eq!(silent.more.searches, 0);
    // The queries come with some chunk, the last usage with another.
    let usage = streamed(
        Dialect::Gemini,
        &[
            content("gemini-3-flash", &queries, usage()),
            content(
                "gemini-3-flash",
                &[],
                json!({"promptTokenCount": 5,
                "candidatesTokenCount": 1290, "totalTokenCount": 1295, "serviceTier": "flex",
                "candidatesTokensDetails": by_medium(&[("IMAGE", 1290)])}),
            ),
        ],
    );
    assert_eq!((usage.more.searches, usage.output, usage.more.image_out), (2, 0, 1290));
}

#[test]
fn bedrock_tells_lifetimes_and_class() {
    let answer = json!({
        "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
        "stopReason": "end_turn", "serviceTier": {"type": "flex"},
        "usage": {"cacheDetails": [{"inputTokens": 1712, "ttl": "1h"},
                {"inputTokens": 236, "ttl": "5m"}],
            "cacheReadInputTokens": 7, "cacheWriteInputTokens": 1948, "inputTokens": 3,
            "outputTokens": 227, "serverToolUsage": {}, "totalTokens": 2185},
    });
    let usage = provider_side(Protocol::Bedrock).usage(answer.to_string().as_bytes()).unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.cache_write), (3, 7, 236));
    let more = RareUsage { cache_write_long: 1712, class: Class::Flex, ..RareUsage::default() };
    assert_eq!((usage.more, usage.total()), (more, 2185));

    let metadata = json!({"usage": answer["usage"], "serviceTier": answer["serviceTier"]});
    let (mut reader, mut events) = (provider_side(Protocol::Bedrock).reader(), Vec::new());
    let data = metadata.to_string();
    reader.read(&Frame { event: "metadata", data: data.as_bytes() }, &mut events).unwrap();
    assert!(matches!(events.as_slice(), [Event::Usage(streamed)] if *streamed == usage));
}

#[test]
fn realtime_tells_sounds_and_pictures_apart() {
    let event = json!({"type": "response.done", "response": {"usage": {
        "total_tokens": 300, "input_tokens": 200, "output_tokens": 100,
        "input_token_details": {"text_tokens": 60, "audio_tokens": 120, "image_tokens": 20,
            "cached_tokens": 96,
            "cached_tokens_details": {"text_tokens": 32, "audio_tokens": 64, "image_tokens": 0}},
        "output_token_details": {"text_tokens": 30, "audio_tokens": 70},
    }}});
    let (_, usage) = realtime::usage_of(event.to_string().as_bytes()).unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.output), (28, 32, 30));
    let more = RareUsage {
        audio_in: 56,
        cache_read_audio: 64,
        image_in: 20,
        audio_out: 70,
        ..RareUsage::default()
    };
    assert_eq!((usage.more, usage.total()), (more, 300));
}

#[test]
fn other_dialects_are_told_the_same_totals() {
    let usage = Usage {
        input: 1,
        cache_read: 20,
        cache_write: 300,
        output: 4_000,
        thought: 50_000,
        more: RareUsage {
            cache_write_long: 600_000,
            audio_in: 7,
            audio_out: 80,
            image_in: 900,
            image_out: 1_000,
            cache_read_audio: 20_000,
            cache_read_image: 300_000,
            video_in: 4,
            searches: 3,
            ..RareUsage::default()
        },
        asides: Vec::new(),
        raw: None,
    };
    for dialect in ALL {
        let reply = super::vocab::Reply { usage: Some(usage.clone()), ..Default::default() };
        let body = codec(dialect).encode_reply(&reply, &super::Heading::default());
        let told = codec(dialect).usage(&body).unwrap();
        assert_eq!(told.prompt(), usage.prompt(), "{dialect:?}");
        assert_eq!(told.completion(), usage.completion(), "{dialect:?}");
        assert_eq!(told.cached(), usage.cached(), "{dialect:?}");
        assert_eq!(told.thought, usage.thought, "{dialect:?}");
        if dialect != Dialect::Gemini {
            assert_eq!(told.cache_writes(), usage.cache_writes(), "{dialect:?}");
        }
    }
}
