//! Which models can do what is asked. What they can do lies side by side, since every decision looks
//! at all of them.

use super::{Allows, Needs};
use crate::base::clock::Timestamp;
use crate::catalogue::{Capabilities, Capability, Catalogue, Modality, Mode, Model};

/// Tokens of an answer where the request does not say.
const USUAL_OUTPUT: u64 = 256;

/// What a model can do.
#[derive(Debug)]
struct Row {
    /// It answers chats, and with text.
    chats: bool,
    writes: bool,
    capabilities: Capabilities,
    reads: Modalities,
    context_tokens: u64,
    max_output_tokens: u64,
    /// No deployment is left at this time; `None` while that is not known.
    ends: Option<Timestamp>,
}

/// Kinds of input, as bits.
#[derive(Debug, Clone, Copy, Default)]
struct Modalities(u8);

impl Modalities {
    fn of(all: &[Modality]) -> Self {
        Self(all.iter().fold(0, |bits, one| bits | 1 << *one as u8))
    }

    fn has_all(self, wanted: Self) -> bool {
        wanted.0 & !self.0 == 0
    }
}

/// What the models of a catalogue can do, by their places.
#[derive(Debug)]
pub struct Able(Vec<Row>);

impl Able {
    #[must_use]
    pub fn new(catalogue: &Catalogue) -> Self {
        let row = |model: &Model| Row {
            chats: model.mode == Mode::Chat,
            writes: model.output.contains(&Modality::Text),
            capabilities: model.capabilities,
            reads: Modalities::of(&model.input),
            context_tokens: model.context_tokens,
            max_output_tokens: model.max_output_tokens,
            ends: if model.deployments.is_empty() { Some(Timestamp(i64::MIN)) } else { model.ends },
        };
        Self(catalogue.models().iter().map(|model| row(model)).collect())
    }

    /// Which models can do what is asked, by place; and of the others that chat, why they cannot.
    pub(super) fn fitting(
        &self,
        needs: &Needs,
        catalogue: &Catalogue,
        allows: Allows<'_>,
        now: Timestamp,
    ) -> (Vec<bool>, Vec<(usize, &'static str)>) {
        let asked = Demands::of(needs, now);
        let mut rejected = Vec::new();
        let models = self.0.iter().zip(catalogue.models()).enumerate();
        let fits = models.map(|(place, (row, model))| {
            if !row.chats {
                return false;
            }
            let allowed = allows(model);
            if allowed && asked.fits(row) {
                return true;
            }
            let reason = if allowed { asked.misses(row) } else { "not in the plan" };
            rejected.push((place, reason));
            false
        });
        (fits.collect(), rejected)
    }
}

/// What a request asks of a model.
struct Demands {
    capabilities: Capabilities,
    modalities: Modalities,
    output_tokens: u64,
    total_tokens: u64,
    now: Timestamp,
}

impl Demands {
    fn of(needs: &Needs, now: Timestamp) -> Self {
        let output_tokens = needs.max_output_tokens.unwrap_or(USUAL_OUTPUT);
        let mut capabilities = Capabilities::default();
        for (capability, _) in MISSING {
            if needs.capabilities.has(capability) {
                capabilities.add(capability);
            }
        }
        Self {
            capabilities,
            modalities: Modalities::of(&needs.modalities),
            output_tokens,
            total_tokens: needs.input_tokens.saturating_add(output_tokens),
            now,
        }
    }

    fn fits(&self, row: &Row) -> bool {
        row.writes
            && row.capabilities.missing(self.capabilities).is_empty()
            && row.reads.has_all(self.modalities)
            && self.output_tokens <= row.max_output_tokens
            && self.total_tokens <= row.context_tokens
            && row.ends.is_none_or(|ends| self.now < ends)
    }

    /// Why a model that does not fit does not.
    fn misses(&self, row: &Row) -> &'static str {
        if !row.writes {
            return "does not answer with text";
        }
        let missing = row.capabilities.missing(self.capabilities);
        if let Some((_, reason)) = MISSING.iter().find(|(one, _)| missing.has(*one)) {
            return reason;
        }
        if !row.reads.has_all(self.modalities) {
            return "cannot read what was sent";
        }
        if self.output_tokens > row.max_output_tokens {
            return "answers too short";
        }
        if self.total_tokens > row.context_tokens {
            return "context too short";
        }
        "ended"
    }
}

/// What a model has to be able to do if it is asked for, and what is said of one that cannot.
const MISSING: [(Capability, &str); 6] = [
    (Capability::Tools, "no tools"),
    (Capability::JsonSchema, "no JSON schema"),
    (Capability::Vision, "no vision"),
    (Capability::Pdf, "no documents"),
    (Capability::AudioIn, "no audio"),
    (Capability::VideoIn, "no video"),
];
