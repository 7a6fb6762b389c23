//! A conversation: turns of parts.

use std::borrow::Cow;

use super::{Dialect, Extra};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    /// Results of tool calls, where a dialect gives them a message of their own.
    Tool,
}

/// How the caller spelled a content that has more than one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentShape {
    /// A bare string.
    #[default]
    Text,
    /// A list of parts.
    List,
    Null,
    Absent,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    pub role: Role,
    pub parts: Vec<Part>,
    pub shape: ContentShape,
    pub extra: Extra,
}

impl Turn {
    #[must_use]
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, parts, shape: ContentShape::default(), extra: Extra::NONE }
    }

    /// All plain text of the turn.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match &part.body {
            Body::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }
}

/// One piece of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub body: Body,
    /// The maker's proof of a thought, or of the thinking behind a call or a text.
    pub signature: Option<Signature>,
    /// What a text rests on. In its own dialect the spelled members say the same.
    pub citations: Vec<Citation>,
    /// Anthropic's `cache_control`, which chat clients send as an extension too.
    pub cache: Option<Value>,
    pub extra: Extra,
    /// Leftovers of the object that some dialects nest inside (`function`, `image_url`, `source`).
    pub inner: Extra,
    /// What a part that only its own dialect has says to the model, for all others.
    pub words: Option<String>,
}

impl Part {
    #[must_use]
    pub fn new(body: Body) -> Self {
        Self {
            body,
            signature: None,
            citations: Vec::new(),
            cache: None,
            extra: Extra::NONE,
            inner: Extra::NONE,
            words: None,
        }
    }

    /// What of it can be told as plain text: a text, a document of text, or the words of a part that
    /// only its own dialect has.
    #[must_use]
    pub fn as_words(&self) -> Option<&str> {
        match &self.body {
            Body::Text(text) => Some(text),
            Body::Media(Media { source: MediaSource::Text(text), .. }) => {
                Some(self.words.as_deref().unwrap_or(text))
            }
            Body::Opaque(..) => self.words.as_deref(),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_words(&self) -> bool {
        self.as_words().is_some()
    }

    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Body::Text(text.into()))
    }
}

/// A source of something that was said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Citation {
    /// A page; `None` for a document of the caller's own.
    pub url: Option<String>,
    pub title: Option<String>,
    /// What the source says, or what of the answer rests on it.
    pub quote: Option<String>,
    /// Which characters of the answer's text rest on it.
    pub span: Option<(u64, u64)>,
}

impl Citation {
    /// Which of so many characters of a text it is for: all of them, where the source is quoted and no
    /// place is given; none, where nothing is known.
    #[must_use]
    pub fn span_of(&self, characters: u64) -> (u64, u64) {
        match (self.span, self.quote.as_deref()) {
            (Some(span), _) => span,
            (None, Some(quote)) if !quote.is_empty() => (0, characters),
            _ => (0, 0),
        }
    }

    /// Which characters of `text` rest on it, as well as can be told; none, if it cannot.
    #[must_use]
    pub fn span_in(&self, text: &str) -> (u64, u64) {
        self.span.unwrap_or_else(|| {
            let quote = self.quote.as_deref().filter(|quote| !quote.is_empty());
            let found = quote.and_then(|quote| Some((text.find(quote)?, quote)));
            let whole = || self.span_of(text.chars().count() as u64);
            found.map_or_else(whole, |(at, quote)| {
                let start = text.get(..at).unwrap_or_default().chars().count() as u64;
                (start, start + quote.chars().count() as u64)
            })
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Text(String),
    Thought(Thought),
    Refusal(String),
    Media(Media),
    Call(ToolCall),
    Outcome(ToolResult),
    /// A part only its own dialect knows (a server tool's result, say), kept whole.
    Opaque(Dialect, Value),
}

/// Opaque, large, and good only for the maker whose dialect it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub by: Dialect,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thought {
    /// What may be read of it; empty where the maker keeps it sealed.
    pub text: String,
    /// Sealed: the signature holds the whole thought (Anthropic's `redacted_thinking`).
    pub redacted: bool,
    /// The turn's own spelled members already say this thought in the dialect it came from.
    pub spelled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    Image,
    Audio,
    Video,
    File,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    pub kind: MediaKind,
    pub source: MediaSource,
    /// MIME type, where known.
    pub mime: Option<String>,
    pub filename: Option<String>,
    /// How closely to look at an image: `low`, `high`, `auto`.
    pub detail: Option<String>,
}

impl Media {
    /// The name of a file that came without one: its ending says what it is.
    #[must_use]
    pub fn made_up_name(&self) -> &'static str {
        let mime = self.mime.as_deref().unwrap_or_default();
        let bare = mime.split(';').next().unwrap_or(mime).trim();
        FILE_NAMES.iter().find(|(known, _)| *known == bare).map_or_else(
            || if bare.starts_with("text/") { "file.txt" } else { "file.pdf" },
            |(_, name)| name,
        )
    }
}

/// Names by media type, of what OpenAI takes as a file. Source: its guide to file inputs.
const FILE_NAMES: [(&str, &str); 18] = [
    ("text/csv", "file.csv"),
    ("text/tab-separated-values", "file.tsv"),
    ("text/html", "file.html"),
    ("text/markdown", "file.md"),
    ("text/css", "file.css"),
    ("text/javascript", "file.js"),
    ("text/x-python", "file.py"),
    ("text/xml", "file.xml"),
    ("application/xml", "file.xml"),
    ("application/json", "file.json"),
    ("application/rtf", "file.rtf"),
    ("application/msword", "file.doc"),
    ("application/vnd.ms-excel", "file.xls"),
    ("application/vnd.ms-powerpoint", "file.ppt"),
    ("application/vnd.oasis.opendocument.text", "file.odt"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "file.docx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "file.xlsx"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "file.pptx"),
];

/// Where the bytes of a medium are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaSource {
    Url(String),
    /// Base64, standard alphabet.
    Inline(String),
    /// An upload at the provider.
    Id(String),
    /// A plain-text document (Anthropic).
    Text(String),
}

impl MediaSource {
    /// An address, or the content and the media type that a data URI holds.
    #[must_use]
    pub fn of_url(url: String) -> (Self, Option<String>) {
        if let Some(rest) = url.strip_prefix("data:")
            && let Some((mime, data)) = rest.split_once(";base64,")
        {
            return (Self::Inline(data.to_owned()), Some(mime.to_owned()));
        }
        (Self::Url(url), None)
    }

    /// What stands where OpenAI has the content of a file: a data URI, base64 as such (of the type that the
    /// file's name says), or an address, which some servers take there.
    #[must_use]
    pub fn of_file_data(data: String, filename: Option<&str>) -> (Self, Option<String>) {
        let (source, mime) = Self::of_url(data);
        match source {
            Self::Url(data) if !data.contains("://") && !data.starts_with("data:") => {
                let known = filename.and_then(mime_of_name);
                (Self::Inline(data), known.map(str::to_owned))
            }
            source => (source, mime),
        }
    }
}

/// The media type that a file's ending says.
#[must_use]
pub fn mime_of_name(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    let ending = ending.to_ascii_lowercase();
    Some(match ending.as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "txt" => "text/plain",
        _ => {
            let named = |(_, file): &&(&str, &str)| file.strip_prefix("file.") == Some(&ending);
            FILE_NAMES.iter().find(named)?.0
        }
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// Arguments are a JSON object.
    Function,
    /// Free-form text (OpenAI's custom tools).
    Custom,
    /// Chat's first, deprecated form: one `function_call` per message.
    Legacy,
}

/// The model asks for a tool to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// `None` where the dialect gives none (Gemini).
    pub id: Option<String>,
    pub name: String,
    /// JSON text for a function, free text for a custom tool. `None` = not said.
    pub arguments: Option<String>,
    pub kind: CallKind,
}

/// What running a tool came to.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    pub call_id: Option<String>,
    /// The tool's name, where the dialect says it.
    pub name: Option<String>,
    pub parts: Vec<Part>,
    pub shape: ContentShape,
    pub is_error: Option<bool>,
    /// Gemini's result is an object, not text.
    pub json: Option<Value>,
}

impl ToolResult {
    /// The same for a dialect in which only words can say that it is a failure.
    #[must_use]
    pub fn in_words(&self) -> Cow<'_, Self> {
        let failed = self.is_error == Some(true) && self.json.is_none();
        let says_so = |text: &str| {
            text.trim_start().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"))
        };
        if !failed || self.parts.iter().find_map(Part::as_words).is_some_and(says_so) {
            return Cow::Borrowed(self);
        }
        let mut told = self.clone();
        match told.parts.first_mut().map(|part| &mut part.body) {
            Some(Body::Text(text)) => text.insert_str(0, "Error: "),
            None => {
                told.shape = ContentShape::Text;
                told.parts.push(Part::text("Error"));
            }
            Some(_) => told.parts.insert(0, Part::text("Error:")),
        }
        Cow::Owned(told)
    }

    /// The result as text: all that can be told as text joined, or the JSON written out.
    #[must_use]
    pub fn text(&self) -> String {
        if let Some(json) = &self.json {
            return json.to_string();
        }
        let mut all = String::new();
        for text in self.parts.iter().filter_map(Part::as_words) {
            if !all.is_empty() {
                all.push('\n');
            }
            all.push_str(text);
        }
        all
    }
}
