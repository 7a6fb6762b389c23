//! The trained router: from a prompt to the chance of a good answer from every model, in
//! microseconds and without a network.
//!
//! Hashed words are added up to a short vector; small networks turn it into what the prompt demands
//! (its difficulty and a few directions of skill); a model has abilities, and meets the demands or
//! does not: item response theory with a learned item side. Trained in [`crate::learn`].

mod abilities;
mod everyday;
mod form;
mod format;
mod format_error;
mod meta;
mod names;
mod net;
mod signs;
mod text;
mod trace;
mod vectors;
mod view;

pub use everyday::{Everyday, EverydayEstimate, MOST_SPREADS, RatingScale, apart};
pub use form::{FORMS, MANNERS, PromptForm};
pub use format_error::FormatError;
pub use meta::{Meta, ModelMeta, Usual};
pub use names::{CLUES, clues, family};
pub(crate) use net::{Arithmetic, dot, softmax, spot, widely};
pub use net::{Net, NetShape};
pub use signs::Signs;
pub use text::{COUNTS, Prompt, TextCounts, read};
pub use trace::{BUCKETS, PAIRS, SIGNS, Trace, TraceKind, VECTORS};
pub use vectors::Vectors;
pub use view::{Ability, Places, View, Weights};
