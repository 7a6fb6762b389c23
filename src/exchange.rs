//! A request that has been let in and its answer, as every room passes them on: what was asked, what the
//! headers of both say, and how the answer ended.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::Map;

use crate::base::Error;
use crate::base::clock::Clock;
use crate::base::ids::RequestId;
use crate::base::money::Nanos;
use crate::ledger::Outcome;
use crate::quota::Standing;
use crate::router::{Dial, Step, Wishes};
use crate::wire::frame::Pieces;
use crate::wire::vocab::{Dialect, Losses, Reply};
use crate::wire::{Heading, PathTarget, codec};

/// A request that has been let in by its credential, not yet read.
#[derive(Debug)]
pub struct Arrival {
    pub id: RequestId,
    pub dialect: Dialect,
    pub body: Bytes,
    /// What the path says, where the dialect puts the model there.
    pub target: Option<PathTarget>,
    /// Headers for a provider of the same dialect.
    pub forward: Vec<(&'static str, String)>,
    pub asked: RequestOptions,
}

/// What the headers of a request ask for, beside its body.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RequestOptions {
    /// What a provider cannot be told is refused, not dropped.
    pub strict: bool,
    /// Where the dial of `auto` stands, if not where the model's name says.
    pub dial: Option<Dial>,
    /// What `auto` may spend on the request.
    pub max_cost: Option<Nanos>,
    /// A name for requests that `auto` should leave with one model.
    pub session: Option<String>,
    /// Every model is to be told of, not only those that may be chosen.
    pub thorough: bool,
    /// Whether the cheap candidate is to answer first, and be checked; as the plan has it, where
    /// nothing is said.
    pub cascade: Option<bool>,
    /// Should the stream break off, a model may go on from what was said, if it is known to do so.
    pub rescue_gives: bool,
    pub cache: CacheWish,
    /// How it wants to be routed, beside the model: most say nothing of it.
    pub wishes: Option<Box<Wishes>>,
}

impl RequestOptions {
    #[must_use]
    pub fn wishes(&self) -> &Wishes {
        self.wishes.as_deref().unwrap_or(const { &Wishes::NONE })
    }

    /// The same, at another dial.
    #[must_use]
    pub fn at(&self, dial: Dial) -> Self {
        Self { dial: Some(dial), ..self.clone() }
    }
}

/// What the caller wishes of caches (`Cache-Control`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheWish {
    /// An answer from a cache will do.
    pub look: bool,
    /// The answer may be kept.
    pub keep: bool,
    /// No older one, in seconds.
    pub max_age: Option<u64>,
}

impl Default for CacheWish {
    fn default() -> Self {
        Self { look: true, keep: true, max_age: None }
    }
}

impl Arrival {
    /// A request whose body says everything.
    #[must_use]
    pub fn of(id: RequestId, dialect: Dialect, body: Bytes) -> Self {
        Self {
            id,
            dialect,
            body,
            target: None,
            forward: Vec::new(),
            asked: RequestOptions::default(),
        }
    }
}

/// The body of an answer: whole, or a stream.
pub enum ResponseBody {
    Whole(Bytes),
    Stream(Pieces),
}

impl ResponseBody {
    /// A stream that has come to its end.
    #[must_use]
    pub fn at_once(events: Bytes) -> Self {
        Self::Stream(Box::pin(futures_util::stream::iter([events])))
    }
}

/// An answer, and what the headers say of how it came about.
pub struct Answered {
    pub step: Step,
    pub attempts: u8,
    pub losses: Losses,
    pub body: ResponseBody,
    /// One line, for `auto` only.
    pub decision: Option<String>,
    /// Where the caller stands with its limits, where the request counted.
    pub standing: Option<Standing>,
    /// How the answer ended, once it has.
    pub ending: AnswerEnding,
    /// What else the headers say.
    pub notes: Vec<(&'static str, Cow<'static, str>)>,
}

impl Answered {
    /// A whole answer that nothing was chosen for and nothing else is said of.
    #[must_use]
    pub fn whole(
        step: Step,
        attempts: u8,
        losses: Losses,
        body: Bytes,
        standing: Option<Standing>,
    ) -> Self {
        Self {
            step,
            attempts,
            losses,
            body: ResponseBody::Whole(body),
            decision: None,
            standing,
            ending: AnswerEnding::default(),
            notes: Vec::new(),
        }
    }
}

/// How an answer ended: told by whoever settled it.
pub type AnswerEnding = Rc<Cell<Option<Outcome>>>;

/// A failure, how many attempts it took, and where the caller stands with its limits.
#[derive(Debug)]
pub struct Refused {
    pub error: Error,
    pub attempts: u8,
    pub standing: Option<Box<Standing>>,
}

impl Refused {
    /// The same, of a request for pictures.
    #[must_use]
    pub fn of_pictures(mut self) -> Self {
        self.standing = self.standing.map(|standing| Box::new(standing.of_pictures()));
        self
    }
}

impl<E: Into<Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self { error: error.into(), attempts: 0, standing: None }
    }
}

/// A whole answer as the stream that says the same. `model` is the name that the caller reads.
#[must_use]
pub fn as_stream(
    clock: Clock,
    dialect: Dialect,
    model: &str,
    reply: &Reply,
    include_usage: bool,
) -> Bytes {
    let heading = Heading {
        id: reply.id.clone().unwrap_or_default(),
        model: model.to_owned(),
        created: reply.created.unwrap_or_else(|| clock.now().seconds()),
        include_usage,
        functions: false,
        echo: Map::new(),
        clock,
        prompt_tokens: 0,
    };
    let (mut writer, mut out) = (codec(dialect).writer(heading), Vec::new());
    writer.write(&reply.events(), &mut out);
    writer.finish(&mut out);
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::said;
    use crate::wire::vocab::{Choice, Extra, Finish, Part, Role, Stop, Turn};

    #[test]
    fn a_whole_answer_says_the_same_as_a_stream_of_any_dialect() {
        let turn = Turn::new(Role::Assistant, vec![Part::text("Good day.")]);
        let finish = Finish::of(Stop::End);
        let reply = Reply {
            id: Some("r_1".to_owned()),
            choices: vec![Choice { index: 0, turn, finish: Some(finish), extra: Extra::default() }],
            ..Reply::default()
        };
        for dialect in
            [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini]
        {
            let events = as_stream(Clock::System, dialect, "m", &reply, true);
            let again = said(dialect, &events, true).unwrap();
            let text: String = again.choices[0].turn.texts().collect();
            assert_eq!(text, "Good day.", "{dialect:?}");
        }
    }

    #[test]
    fn another_dial_changes_nothing_else() {
        let asked = RequestOptions {
            strict: true,
            session: Some("s".to_owned()),
            ..RequestOptions::default()
        };
        let cheap = asked.at(Dial::CHEAP);
        assert_eq!((cheap.dial, cheap.strict), (Some(Dial::CHEAP), true));
        assert_eq!(RequestOptions { dial: None, ..cheap }, asked);
    }
}
