//! Streams of every dialect, cut anywhere, with and without what does not belong in them.

use proptest::prelude::*;

use super::*;
use crate::wire::vocab::Dialect::{Anthropic, Gemini, OpenAiChat, OpenAiResponses};

/// A stream of each dialect, as its maker writes it.
const STREAMS: [(Dialect, &str); 4] = [
    (
        OpenAiChat,
        ": hello\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"née\"}}]}\n\n: ping\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    ),
    (
        OpenAiResponses,
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{}}\n\n\
         event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"née\"}\n\n\
         event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{}]}}\n\n",
    ),
    (
        Anthropic,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[]}}\n\n\
         event: ping\ndata: {\"type\":\"ping\"}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"née\"}}\n\n\
         event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
    (
        Gemini,
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"née\"}]},\"index\":0}]}\r\n\r\n\
         data: {\"candidates\":[{\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":1}}\r\n\r\n",
    ),
];

fn passage(dialect: Dialect) -> Passage {
    Passage::new(dialect, Protocol::Dialect(dialect), Conversion::Verbatim, Heading::default())
}

/// What comes out, the pieces fed one by one, and how it ended.
fn passed(dialect: Dialect, pieces: &[&[u8]]) -> (Vec<u8>, Result<(), Fault>) {
    let mut passage = passage(dialect);
    let fed = pieces.iter().try_for_each(|piece| passage.take(Bytes::copy_from_slice(piece)));
    let ended = fed.and_then(|()| passage.end());
    let out = std::iter::from_fn(|| passage.pop()).flatten().collect();
    (out, ended)
}

fn cut_at<'a>(whole: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
    at.extend([0, whole.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &whole[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn bytes_pass_as_they_came_however_they_are_cut(
        (dialect, text) in prop::sample::select(STREAMS.to_vec()),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let (out, ended) = passed(dialect, &cut_at(text.as_bytes(), &cuts));
        prop_assert_eq!(String::from_utf8(out).unwrap(), text);
        prop_assert_eq!(ended, Ok(()));
    }

    #[test]
    fn noise_between_events_and_behind_the_last_is_left_out(
        (dialect, text) in prop::sample::select(STREAMS.to_vec()),
        place in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let plain = text.replace("\r\n", "\n").replace(": hello\n\n", "").replace(": ping\n\n", "");
        let mut events: Vec<&str> = plain.split_inclusive("\n\n").collect();
        let noise = "event: x\ndata: <html>\ndata: </html>\n\n";
        events.insert(place.index(events.len()), noise);
        // Only the connection's end is the end of Gemini's.
        if dialect != Gemini {
            events.push("data: {\"late\":1}\n\n");
        }
        let whole = events.concat();
        let (out, ended) = passed(dialect, &cut_at(whole.as_bytes(), &cuts));
        prop_assert_eq!(String::from_utf8(out).unwrap(), plain);
        prop_assert_eq!(ended, Ok(()));
    }

    #[test]
    fn a_stream_that_is_cut_never_looks_complete(
        (dialect, text) in prop::sample::select(STREAMS.to_vec()),
        place in any::<prop::sample::Index>(),
    ) {
        // Behind the reason for which it ended, a chat's last word is not missed.
        let whole = text.len() - if dialect == OpenAiChat { 14 } else { 4 };
        let end = place.index(whole);
        // The last event counts from its last byte on, with or without its blank line.
        let ends = text[..whole].trim_end().len();
        prop_assume!(end < ends);
        let (out, ended) = passed(dialect, &[&text.as_bytes()[..end]]);
        prop_assert!(ended.is_err());
        prop_assert!(!String::from_utf8_lossy(&out).contains("[DONE]"));
        // An event may have come whole but for its blank line.
        prop_assert!(text.as_bytes().starts_with(out.trim_ascii_end()), "only whole events");
    }
}

#[test]
fn a_message_that_goes_on_is_one_answer() {
    let more = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[{}]}}\n\n\
                event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let whole = format!("{}{more}", STREAMS[2].1);
    let (out, ended) = passed(Anthropic, &[whole.as_bytes()]);
    assert_eq!((String::from_utf8(out).unwrap(), ended), (whole, Ok(())));
}

#[test]
fn an_end_without_an_answer_is_a_fault() {
    for (dialect, text) in [
        (OpenAiChat, "data: [DONE]\n\n"),
        (
            OpenAiChat,
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":0}}\n\ndata: [DONE]\n\n",
        ),
        (
            OpenAiResponses,
            "data: {\"type\":\"response.completed\",\"response\":{\"output\":[]}}\n\n",
        ),
        (Anthropic, "data: {\"type\":\"message_stop\"}\n\n"),
        (Gemini, "data: {\"usageMetadata\":{\"promptTokenCount\":3}}\n\n"),
    ] {
        assert!(passed(dialect, &[text.as_bytes()]).1.is_err(), "{text}");
    }
}

/// What a chat caller and one of Gemini's own get of a stream of Gemini's.
fn told_of_gemini(text: &str) -> [(String, Result<(), Fault>); 2] {
    let native = passed(Gemini, &[text.as_bytes()]);
    let manner = Conversion::Translated { names: Rc::default(), json: None, hides_cost: false };
    let mut translated =
        Passage::new(OpenAiChat, Protocol::Dialect(Gemini), manner, Heading::default());
    let fed = translated.take(Bytes::copy_from_slice(text.as_bytes()));
    assert!(!translated.has_ended() && translated.is_complete(), "{text}");
    let ended = fed.and_then(|()| translated.end());
    let out: Vec<u8> = std::iter::from_fn(|| translated.pop()).flatten().collect();
    [native, (out, ended)].map(|(out, ended)| (String::from_utf8(out).unwrap(), ended))
}

#[test]
fn a_reason_ends_nothing_where_there_is_no_last_word() {
    let usage = "\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":3}";
    let chunk = |parts: &str, reason: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":[{parts}]}},\
             \"index\":0{reason}}}],{usage}}}\n\n"
        )
    };
    let stop = ",\"finishReason\":\"STOP\"";
    let text = |text: &str| format!("{{\"text\":\"{text}\"}}");
    let call = "{\"functionCall\":{\"name\":\"f\",\"args\":{}}}";
    let each = [
        chunk(&text("One "), stop),
        chunk(&text("two "), stop),
        chunk(&text("three"), ",\"finishReason\":\"MAX_TOKENS\""),
    ];
    let first = [chunk("", stop), chunk(&text("One "), ""), chunk(&text("two three"), "")];
    let calls = [chunk("", stop), chunk(&text("One two three"), ""), chunk(call, "")];
    for (chunks, reason) in [(each, "length"), (first, "stop"), (calls, "tool_calls")] {
        let [(native, ended), (chat, chat_ended)] = told_of_gemini(&chunks.concat());
        assert_eq!((ended, chat_ended), (Ok(()), Ok(())), "{chunks:?}");
        assert_eq!(native, chunks.concat());
        let told: Vec<serde_json::Value> = chat
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
            .collect();
        let said: String = told
            .iter()
            .filter_map(|one| one.pointer("/choices/0/delta/content")?.as_str())
            .collect();
        assert_eq!(said, "One two three", "{chat}");
        let reasons: Vec<&str> = told
            .iter()
            .filter_map(|one| one.pointer("/choices/0/finish_reason")?.as_str())
            .collect();
        assert_eq!(reasons, [reason], "{chat}");
    }
}

#[test]
fn what_may_be_the_end_waits_until_more_comes() {
    let mut passage = passage(Gemini);
    let chunk = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"index\":0,\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1}}\n\n";
    passage.take(Bytes::from_static(chunk.as_bytes())).unwrap();
    assert!(passage.may_be_over());
    assert_eq!(passage.pop_before_the_end(), None);
    passage.take(Bytes::from_static(chunk.as_bytes())).unwrap();
    assert_eq!(passage.pop_before_the_end().unwrap(), chunk);
    assert_eq!(passage.pop_before_the_end(), None);
    passage.end().unwrap();
    assert_eq!(passage.pop().unwrap(), chunk);
}

/// A stream of `from` to a caller of another dialect: what is booked, and what the caller reads.
fn translated(from: Dialect, front: Dialect, text: &str) -> (Usage, String) {
    let manner = Conversion::Translated { names: Rc::default(), json: None, hides_cost: false };
    let heading = Heading { include_usage: true, ..Heading::default() };
    let mut passage = Passage::new(front, Protocol::Dialect(from), manner, heading);
    passage.take(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    passage.end().unwrap();
    let out = std::iter::from_fn(|| passage.pop()).flatten().collect();
    (passage.usage().unwrap().clone(), String::from_utf8(out).unwrap())
}

#[test]
fn a_last_report_that_says_less_takes_nothing_from_an_earlier_one() {
    let chat = |last: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"x\"}}}}],\
             \"usage\":{{\"prompt_tokens\":1000,\"completion_tokens\":500,\"total_tokens\":1500}}}}\n\n\
             data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}],\"usage\":{last}}}\n\n\
             data: [DONE]\n\n"
        )
    };
    for last in [
        r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
        r#"{"prompt_tokens":1000,"completion_tokens":0,"total_tokens":1000}"#,
    ] {
        for front in [Anthropic, OpenAiResponses, OpenAiChat] {
            let (usage, told) = translated(OpenAiChat, front, &chat(last));
            assert_eq!((usage.prompt(), usage.completion()), (1000, 500), "{last} {front:?}");
            assert!(told.contains("_tokens\":500"), "{told}");
        }
    }
    let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]},\"index\":0}],\
        \"usageMetadata\":{\"promptTokenCount\":900,\"candidatesTokenCount\":100}}\r\n\r\n\
        data: {\"candidates\":[{\"finishReason\":\"STOP\",\"index\":0}],\
        \"usageMetadata\":{\"promptTokenCount\":1000}}\r\n\r\n";
    let (usage, told) = translated(Gemini, OpenAiChat, gemini);
    assert_eq!((usage.prompt(), usage.completion()), (1000, 100), "{told}");
}

#[test]
fn a_message_of_anthropic_s_without_its_last_word_ends_for_every_caller() {
    let cut = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\
        \"usage\":{\"input_tokens\":1,\"output_tokens\":0}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":\
        {\"type\":\"text\",\"text\":\"hi\"}}\n\n\
        event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\
        \"usage\":{\"output_tokens\":2}}\n\n";
    let (out, ended) = passed(Anthropic, &[cut.as_bytes()]);
    assert_eq!(ended, Ok(()));
    assert!(String::from_utf8_lossy(&out).ends_with("data: {\"type\":\"message_stop\"}\n\n"));
    for (front, end) in [
        (OpenAiChat, "data: [DONE]"),
        (OpenAiResponses, "event: response.completed"),
        (Gemini, "\"finishReason\":\"STOP\""),
    ] {
        let (_, told) = translated(Anthropic, front, cut);
        assert_eq!(told.matches(end).count(), 1, "{front:?} {told}");
    }
}

#[test]
fn giving_up_is_a_fault_where_the_stream_passes_unread_too() {
    let chat = |word: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{word}\"}}]}}\n\n"
        )
    };
    let gemini = |word: &str| {
        format!("data: {{\"candidates\":[{{\"index\":0,\"finishReason\":\"{word}\"}}]}}\r\n\r\n")
    };
    for (dialect, text) in [
        (OpenAiChat, chat("error")),
        (OpenAiChat, chat("insufficient_system_resource")),
        (Gemini, gemini("MALFORMED_FUNCTION_CALL")),
        (Gemini, gemini("OTHER")),
    ] {
        let (out, ended) = passed(dialect, &[text.as_bytes(), b"data: [DONE]\n\n"]);
        assert_eq!(ended.map_err(|fault| fault.kind), Err(FaultKind::GaveUp), "{text}");
        assert!(out.is_empty(), "{text}");
    }
}

#[test]
fn half_a_character_does_not_end_a_stream() {
    let chunk = |text: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
        )
    };
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":\
        {\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
    let text = format!("{}{}{end}", chunk(r"a\ud83d"), chunk(r"\ude42b"));
    let (_, told) = translated(OpenAiChat, Anthropic, &text);
    assert!(told.contains("a\u{fffd}") && told.contains("\u{fffd}b"), "{told}");
}

#[test]
fn what_a_provider_does_not_count_is_told_as_it_is_booked() {
    use crate::ledger::Basis;
    use crate::wire::said;
    let chat = |usage: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"one two three\"}}}}]}}\n\n\
             data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]{usage}}}\n\n\
             data: [DONE]\n\n"
        )
    };
    let zeros = ",\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}";
    for usage in ["", ",\"usage\":{}", ",\"usage\":null", zeros] {
        for front in [OpenAiResponses, Anthropic, Gemini] {
            let manner =
                Conversion::Translated { names: Rc::default(), json: None, hides_cost: false };
            let heading = Heading { prompt_tokens: 7, ..Heading::default() };
            let from = Protocol::Dialect(OpenAiChat);
            let mut passage = Passage::new(front, from, manner, heading);
            passage.take(Bytes::from(chat(usage))).unwrap();
            passage.end().unwrap();
            let (booked, basis) = passage.transcript().used(passage.usage(), true, 7);
            assert_eq!((booked.input, booked.output, basis), (7, 3, Basis::Estimated), "{usage}");
            let out: Vec<u8> = std::iter::from_fn(|| passage.pop()).flatten().collect();
            let told = said(front, &out, true).unwrap().usage.unwrap();
            assert_eq!((told.prompt(), told.completion()), (7, 3), "{usage} {front:?}");
        }
    }
}
