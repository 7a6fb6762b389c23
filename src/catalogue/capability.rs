//! What a model can do.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    Tools,
    ToolChoice,
    ParallelTools,
    JsonSchema,
    Reasoning,
    Vision,
    Pdf,
    AudioIn,
    AudioOut,
    VideoIn,
    PromptCache,
    System,
    WebSearch,
    ComputerUse,
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(u32);

impl Capabilities {
    #[must_use]
    pub fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u32) != 0
    }

    pub fn add(&mut self, capability: Capability) {
        self.0 |= 1 << capability as u32;
    }

    /// Those asked for that are not here.
    #[must_use]
    pub fn missing(self, wanted: Self) -> Self {
        Self(wanted.0 & !self.0)
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What a model that nobody described may be asked for.
    #[must_use]
    pub fn anything() -> Self {
        [
            Capability::Tools,
            Capability::ToolChoice,
            Capability::JsonSchema,
            Capability::Vision,
            Capability::System,
            Capability::Reasoning,
        ]
        .into_iter()
        .collect()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<T: IntoIterator<Item = Capability>>(all: T) -> Self {
        let mut set = Self::default();
        for one in all {
            set.add(one);
        }
        set
    }
}
