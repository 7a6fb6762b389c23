//! Pictures from a prompt: OpenAI's form in front, and how others say the same. Source: the openai
//! SDK's types, Google's and xAI's references, and the recordings.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::frame::json::Object;
use super::vocab::{Losses, Malformed, RequestHead, Usage};
use super::{Encoded, gemini, openai_usage};

/// How a provider wants to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "ImagesForm")]
pub enum ImagesForm {
    Openai,
    /// `aspect_ratio` in place of `size`, and no `quality`.
    Xai,
    /// `generateContent` of a model that can draw.
    Gemini,
}

/// What a model takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ImagesRules")]
pub struct ImagesRules {
    pub sizes: Vec<String>,
    pub qualities: Vec<String>,
    /// The most pictures of one call to a provider; more are asked for by several calls.
    pub per_call: u64,
    pub prompt_characters: usize,
    /// Answers with the bytes, never with an address.
    pub base64_only: bool,
    /// Members that the model's maker refuses.
    pub unsaid: Vec<String>,
}

impl Default for ImagesRules {
    fn default() -> Self {
        let words = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        Self {
            sizes: words(&["256x256", "512x512", "1024x1024", "1792x1024", "1024x1792"]),
            qualities: words(&["standard", "hd"]),
            per_call: 1,
            prompt_characters: 4_000,
            base64_only: false,
            unsaid: Vec::new(),
        }
    }
}

/// The most pictures of one request.
const MOST: u64 = 4;

/// How pictures come in an answer: as an address, or as base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageEncoding {
    #[serde(rename = "url")]
    Url,
    #[serde(rename = "b64_json")]
    Base64,
}

/// A request to draw pictures.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageRequest {
    pub prompt: String,
    pub count: u64,
    pub size: Option<String>,
    pub quality: Option<String>,
    /// How the caller wants them; `None` = as the model does it.
    pub wanted: Option<ImageEncoding>,
    /// The body's members, to be passed on to a provider of the same form.
    members: Map<String, Value>,
}

/// # Errors
/// [`Malformed`] naming the field at fault.
pub fn decode_request(body: &[u8]) -> Result<(RequestHead, ImageRequest), Malformed> {
    let members: Map<String, Value> =
        serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
    let mut object = Object::of(Value::Object(members.clone()), "")?;
    let model = object.required_string("model")?;
    let prompt = object.required_string("prompt")?;
    if prompt.trim().is_empty() {
        return Err(Malformed::invalid("prompt", "expected a text that is not empty"));
    }
    let count = object.unsigned("n")?.unwrap_or(1);
    if !(1..=MOST).contains(&count) {
        return Err(Malformed::invalid(
            "n",
            format!("expected a value from 1 to {MOST}, but got {count}"),
        ));
    }
    let wanted = match object.string("response_format")?.as_deref() {
        None => None,
        Some("url") => Some(ImageEncoding::Url),
        Some("b64_json") => Some(ImageEncoding::Base64),
        Some(_) => {
            return Err(Malformed::invalid("response_format", "expected 'url' or 'b64_json'"));
        }
    };
    if object.boolean("stream")? == Some(true) {
        return Err(
            Malformed::invalid("stream", "images are not streamed").coded("unsupported_parameter")
        );
    }
    let request = ImageRequest {
        prompt,
        count,
        size: object.string("size")?,
        quality: object.string("quality")?,
        wanted,
        members,
    };
    Ok((RequestHead { model, prompt_bytes: body.len(), ..RequestHead::default() }, request))
}

impl ImagesRules {
    /// # Errors
    /// [`Malformed`] for what the model does not take.
    pub fn check(&self, request: &ImageRequest) -> Result<(), Malformed> {
        let among = |field: &str, value: &Option<String>, all: &[String]| match value {
            Some(value) if !all.is_empty() && !all.contains(value) => {
                let all: Vec<String> = all.iter().map(|one| format!("'{one}'")).collect();
                Err(Malformed::invalid(field, format!("expected one of {}", all.join(", "))))
            }
            _ => Ok(()),
        };
        among("size", &request.size, &self.sizes)?;
        among("quality", &request.quality, &self.qualities)?;
        let characters = request.prompt.chars().count();
        if characters > self.prompt_characters {
            let most = self.prompt_characters;
            let why = format!("expected at most {most} characters, but got {characters}");
            return Err(Malformed::invalid("prompt", why));
        }
        Ok(())
    }

    /// The nearest that this model takes to what was asked of another.
    fn fit_size(&self, size: &str) -> Option<String> {
        if self.sizes.is_empty() || self.sizes.iter().any(|one| one == size) {
            return Some(size.to_owned());
        }
        let wanted = ratio(size)?;
        let distance = |one: &String| {
            let (width, height) = ratio(one)?;
            // Cross products, so that nothing is divided.
            Some(
                (width * wanted.1).abs_diff(wanted.0 * height) * 1_000 / (height * wanted.1).max(1),
            )
        };
        self.sizes
            .iter()
            .filter_map(|one| Some((distance(one)?, one)))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, one)| one.clone())
    }

    fn fit_quality(&self, quality: &str) -> Option<String> {
        let takes = |one: &str| self.qualities.iter().any(|known| known == one);
        if self.qualities.is_empty() || takes(quality) {
            return Some(quality.to_owned());
        }
        let other = match quality {
            "hd" => "high",
            "high" => "hd",
            "standard" => "medium",
            _ => "standard",
        };
        takes(other).then(|| other.to_owned())
    }
}

fn ratio(size: &str) -> Option<(u64, u64)> {
    let (width, height) = size.split_once('x')?;
    let side = |text: &str| text.parse::<u64>().ok().filter(|side| (1..=16_384).contains(side));
    Some((side(width)?, side(height)?))
}

/// The nearest of the ratios that Gemini and xAI have words for.
fn aspect(size: &str) -> Option<&'static str> {
    let (width, height) = ratio(size)?;
    [("1:1", 1, 1), ("3:2", 3, 2), ("2:3", 2, 3), ("16:9", 16, 9), ("9:16", 9, 16)]
        .into_iter()
        .min_by_key(|(_, w, h)| (width * h).abs_diff(height * w) * 100 / (height * h))
        .map(|(word, ..)| word)
}

/// A request for `count` pictures in a provider's form.
#[must_use]
pub fn encode_request(
    request: &ImageRequest,
    form: ImagesForm,
    rules: &ImagesRules,
    name: &str,
    count: u64,
) -> Encoded {
    let mut losses = Losses::default();
    let body = match form {
        ImagesForm::Openai | ImagesForm::Xai => {
            let mut members = request.members.clone();
            members.insert("model".to_owned(), Value::from(name));
            if request.count != count {
                members.insert("n".to_owned(), Value::from(count));
            }
            if form == ImagesForm::Xai {
                for unknown in ["size", "quality", "style"] {
                    if members.shift_remove(unknown).is_some() && unknown != "size" {
                        losses.dropped(unknown);
                    }
                }
                if let Some(aspect) = request.size.as_deref().and_then(aspect) {
                    members.insert("aspect_ratio".to_owned(), Value::from(aspect));
                }
            } else {
                let mut fit = |name: &str, value: Option<Option<String>>| match value {
                    Some(Some(value)) => {
                        members.insert(name.to_owned(), Value::from(value));
                    }
                    Some(None) => {
                        members.shift_remove(name);
                    }
                    None => {}
                };
                fit("size", request.size.as_deref().map(|size| rules.fit_size(size)));
                fit("quality", request.quality.as_deref().map(|one| rules.fit_quality(one)));
            }
            for unsaid in &rules.unsaid {
                members.shift_remove(unsaid);
            }
            Value::Object(members)
        }
        ImagesForm::Gemini => {
            // `auto` is what happens anyway; how pictures are handed over is seen to here.
            let seen_to = ["model", "prompt", "n", "size", "response_format", "stream", "user"];
            for (name, value) in &request.members {
                let says = !value.is_null() && value != "auto" && !seen_to.contains(&name.as_str());
                if says {
                    losses.dropped_at("", name);
                }
            }
            let mut config = json!({"responseModalities": ["TEXT", "IMAGE"]});
            if let (Some(config), Some(aspect)) =
                (config.as_object_mut(), request.size.as_deref().and_then(aspect))
            {
                config.insert("imageConfig".to_owned(), json!({ "aspectRatio": aspect }));
            }
            json!({
                "contents": [{"role": "user", "parts": [{"text": request.prompt}]}],
                "generationConfig": config,
            })
        }
    };
    Encoded { body: Bytes::from(body.to_string()), losses }
}

/// Gemini's answer in OpenAI's form.
///
/// # Errors
/// [`Malformed`] when it holds no picture, with what it says instead.
pub fn from_gemini(body: &[u8], created: i64) -> Result<Bytes, Malformed> {
    let answer: Value = serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
    let parts = |candidate: &Value| {
        candidate.pointer("/content/parts").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let all: Vec<Value> = answer
        .get("candidates")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .flat_map(parts)
        .collect();
    let data: Vec<Value> = all
        .iter()
        // A draft that the model thought of first is not the picture.
        .filter(|part| part.get("thought").and_then(Value::as_bool) != Some(true))
        .filter_map(|part| part.get("inlineData").or_else(|| part.get("inline_data")))
        .filter_map(|inline| inline.get("data").and_then(Value::as_str))
        .map(|data| json!({ "b64_json": data }))
        .collect();
    if data.is_empty() {
        let why = answer
            .pointer("/promptFeedback/blockReason")
            .or_else(|| answer.pointer("/candidates/0/finishReason"))
            .and_then(Value::as_str)
            .unwrap_or("no picture");
        return Err(Malformed::new(format!("The model drew nothing ({why}).")));
    }
    // What is told is what is booked: thoughts, too, which it counts beside the picture.
    let usage = answer.get("usageMetadata").cloned().map(|raw| gemini::usage_from(raw, 0));
    let usage = usage.unwrap_or_default();
    let (input, output) = (usage.prompt(), usage.completion());
    let body = json!({
        "created": created,
        "data": data,
        "usage": {
            "input_tokens": input,
            "output_tokens": output,
            "total_tokens": input.saturating_add(output),
            "input_tokens_details": {
                "text_tokens": input.saturating_sub(usage.more.image_in),
                "image_tokens": usage.more.image_in,
            },
        },
    });
    Ok(Bytes::from(body.to_string()))
}

/// What an answer in OpenAI's form says of tokens. Pictures are all of what was written, unless it
/// says how much of it was text.
#[must_use]
pub fn usage_of(body: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Only {
        usage: Option<Value>,
    }
    let usage = serde_json::from_slice::<Only>(body).ok()?.usage?;
    openai_usage::drawn(&usage)
}

/// Size and quality of the pictures of an answer, which tell their price.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PictureSpec {
    pub size: Option<String>,
    pub quality: Option<String>,
}

impl ImagesRules {
    /// As the answer says, else as was asked, else as OpenAI does it by itself.
    #[must_use]
    pub fn drawn(&self, answer: &Value, request: &ImageRequest) -> PictureSpec {
        let told = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        let usual =
            |all: &[String], word: &str| all.iter().find(|one| one.as_str() == word).cloned();
        let size = request.size.as_deref().and_then(|size| self.fit_size(size));
        let quality = request.quality.as_deref().and_then(|one| self.fit_quality(one));
        PictureSpec {
            size: told("size").or(size).or_else(|| usual(&self.sizes, "1024x1024")),
            quality: told("quality").or(quality).or_else(|| usual(&self.qualities, "standard")),
        }
    }
}

/// What a picture's first bytes say that it is.
#[must_use]
pub fn mime_of(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xFF, 0xD8, ..] => "image/jpeg",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'G', b'I', b'F', ..] => "image/gif",
        _ => "image/png",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<ImageRequest, Malformed> {
        decode_request(body.to_string().as_bytes()).map(|(_, request)| request)
    }

    fn refused_at(body: Value, rules: &ImagesRules) -> Option<String> {
        read(body).and_then(|request| rules.check(&request)).err()?.field
    }

    #[test]
    fn what_the_documentation_excludes_is_refused() {
        let rules = ImagesRules::default();
        let with = |name: &str, value: Value| {
            let mut body = json!({"model": "dall-e-3", "prompt": "a cat"});
            body[name] = value;
            body
        };
        for (name, bad) in [
            ("n", json!(0)),
            ("n", json!(5)),
            ("n", json!("2")),
            ("size", json!("100x100")),
            ("size", json!(5)),
            ("quality", json!("best")),
            ("response_format", json!("png")),
            ("prompt", json!("")),
            ("prompt", json!("x".repeat(4_001))),
            ("stream", json!(true)),
        ] {
            assert_eq!(refused_at(with(name, bad.clone()), &rules).as_deref(), Some(name), "{bad}");
        }
        for (name, good) in [
            ("n", json!(4)),
            ("size", json!("1792x1024")),
            ("quality", json!("hd")),
            ("response_format", json!("b64_json")),
            ("prompt", json!("é".repeat(4_000))),
        ] {
            assert_eq!(refused_at(with(name, good), &rules), None, "{name}");
        }
        assert_eq!(refused_at(json!({"prompt": "x"}), &rules).as_deref(), Some("model"));
    }

    #[test]
    fn what_gemini_is_not_told_of_a_picture_is_named() {
        let asked = json!({"model": "m", "prompt": "x", "n": 1, "size": "1024x1024", "quality": "high",
            "background": "transparent", "output_format": "webp", "moderation": "auto",
            "response_format": "b64_json", "user": "u"});
        let request = read(asked).unwrap();
        let sent =
            encode_request(&request, ImagesForm::Gemini, &ImagesRules::default(), "theirs", 1);
        let named: Vec<_> = sent.losses.iter().map(|loss| loss.field.to_string()).collect();
        assert_eq!(named, ["quality", "background", "output_format"]);
    }

    #[test]
    fn a_stand_in_gets_the_nearest_that_it_takes() {
        let rules = ImagesRules {
            sizes: ["1024x1024", "1536x1024", "1024x1536", "auto"].map(str::to_owned).to_vec(),
            qualities: ["low", "medium", "high", "auto"].map(str::to_owned).to_vec(),
            unsaid: vec!["response_format".to_owned(), "style".to_owned()],
            ..ImagesRules::default()
        };
        let request = read(json!({
            "model": "dall-e-3", "prompt": "a cat", "size": "1792x1024", "quality": "hd",
            "response_format": "url", "style": "vivid", "n": 2, "user": "u",
        }))
        .unwrap();
        let sent = |form: ImagesForm| -> Value {
            serde_json::from_slice(&encode_request(&request, form, &rules, "theirs", 1).body)
                .unwrap()
        };
        assert_eq!(
            sent(ImagesForm::Openai),
            json!({"model": "theirs", "prompt": "a cat", "size": "1536x1024", "quality": "high",
                   "n": 1, "user": "u"})
        );
        assert_eq!(
            sent(ImagesForm::Gemini)["generationConfig"]["imageConfig"],
            json!({"aspectRatio": "16:9"})
        );
        let xai = sent(ImagesForm::Xai);
        assert_eq!((&xai["aspect_ratio"], xai.get("size")), (&json!("16:9"), None));
    }

    #[test]
    fn gemini_draws() {
        let answer = br#"{"candidates":[{"content":{"parts":[{"text":"Here:"},
            {"inlineData":{"mimeType":"image/png","data":"AAAA"}}]},"finishReason":"STOP"}],
            "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1290}}"#;
        let ours: Value = serde_json::from_slice(&from_gemini(answer, 7).unwrap()).unwrap();
        assert_eq!(ours["data"], json!([{"b64_json": "AAAA"}]));
        assert_eq!(ours["usage"]["total_tokens"], 1293);
        let refused = br#"{"candidates":[{"finishReason":"IMAGE_SAFETY"}]}"#;
        assert!(from_gemini(refused, 7).unwrap_err().to_string().contains("IMAGE_SAFETY"));
    }

    #[test]
    fn what_is_drawn_is_counted_as_pictures() {
        let answer = br#"{"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":431,
            "input_tokens_details":{"image_tokens":388,"text_tokens":43},"output_tokens":1364,
            "output_tokens_details":{"image_tokens":1056,"text_tokens":308},"total_tokens":1795}}"#;
        let usage = usage_of(answer).unwrap();
        assert_eq!((usage.input, usage.more.image_in), (43, 388));
        assert_eq!((usage.output, usage.more.image_out), (308, 1056));
        let older = br#"{"data":[],"usage":{"input_tokens":9,"output_tokens":272}}"#;
        let usage = usage_of(older).unwrap();
        assert_eq!((usage.input, usage.output, usage.more.image_out), (9, 0, 272));
        assert_eq!(usage_of(br#"{"data":[{"url":"x"}]}"#), None);
    }

    #[test]
    fn a_picture_is_of_the_size_that_the_answer_says() {
        let rules = ImagesRules::default();
        let asked = read(json!({
            "model": "dall-e-3", "prompt": "a cat", "size": "1792x1024", "quality": "hd",
        }));
        let asked = asked.unwrap();
        let drawn = |answer: Value, request: &ImageRequest| {
            let PictureSpec { size, quality } = rules.drawn(&answer, request);
            (size.unwrap_or_default(), quality.unwrap_or_default())
        };
        let own = |size: &str, quality: &str| (size.to_owned(), quality.to_owned());
        let echoed = json!({"data": [], "size": "1024x1536", "quality": "low"});
        assert_eq!(drawn(echoed, &asked), own("1024x1536", "low"));
        assert_eq!(drawn(json!({"data": []}), &asked), own("1792x1024", "hd"));
        let unsaid = read(json!({"model": "dall-e-3", "prompt": "a cat"})).unwrap();
        assert_eq!(drawn(json!({"data": []}), &unsaid), own("1024x1024", "standard"));
    }
}
