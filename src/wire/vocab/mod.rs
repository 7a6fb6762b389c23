//! The one vocabulary: what a request, a reply and a stream can say, whoever says it.
//!
//! Whatever a dialect says that the vocabulary has no word for stays with the node it was found
//! on, in [`Extra`], tagged with its dialect: it is written back to that dialect and named as
//! lost when another is written.

mod count;
mod event;
mod extra;
mod fault;
mod loss;
mod name;
mod part;
mod reply;
mod request;
mod thinking;
mod tool;
mod usage;

pub use count::{AnswerCount, PromptCount, tokens_in};
pub use event::{Delta, Event, ExtraScope, Fold, Slot};
pub use extra::Extra;
pub use fault::{Fault, FaultKind, Malformed, Retry, says_too_long};
pub use loss::{Loss, Losses};
pub use name::{Dialect, Protocol};
pub use part::{
    Body, CallKind, Citation, ContentShape, Media, MediaKind, MediaSource, Part, Role, Signature,
    Thought, ToolCall, ToolResult, Turn, mime_of_name,
};
pub use reply::{Choice, Finish, Reply, Stop};
pub use request::{
    ByteSpan, Effort, Format, Reasoning, Request, RequestHead, RiskyMembers, Sampling,
};
pub use thinking::{Control, Efforts, FittedThinking, Off, Thinking, ThinkingStyle, ThoughtsBack};
pub use tool::{Tool, ToolChoice, ToolKind, custom, with_properties};
pub use usage::{AuxiliaryUsage, Class, RareUsage, Usage};
