//! In how many bits a deployment computes with a model's weights.

use serde::{Deserialize, Serialize};

/// By `OpenRouter`'s words for it. What nobody said is not known, and is no other.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    Int4,
    Int8,
    Fp4,
    Fp6,
    Fp8,
    Fp16,
    Bf16,
    Fp32,
    #[default]
    Unknown,
}

/// Words of names. NVIDIA's NVFP4 and the MXFP4 of the Open Compute Project are both of 4 bits.
const WORDS: [(&str, Quantization); 10] = [
    ("int4", Quantization::Int4),
    ("int8", Quantization::Int8),
    ("fp4", Quantization::Fp4),
    ("nvfp4", Quantization::Fp4),
    ("mxfp4", Quantization::Fp4),
    ("fp6", Quantization::Fp6),
    ("fp8", Quantization::Fp8),
    ("fp16", Quantization::Fp16),
    ("bf16", Quantization::Bf16),
    ("fp32", Quantization::Fp32),
];

impl Quantization {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Fp4 => "fp4",
            Self::Fp6 => "fp6",
            Self::Fp8 => "fp8",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Fp32 => "fp32",
            Self::Unknown => "unknown",
        }
    }

    #[must_use]
    pub fn is_known(self) -> bool {
        self != Self::Unknown
    }

    /// What a provider's name for a model says (`Qwen3-Coder-Next-FP8`), if it says anything: the last
    /// word of it that is one of these.
    #[must_use]
    pub fn in_name(name: &str) -> Option<Self> {
        let words = name.rsplit(|c: char| !c.is_ascii_alphanumeric());
        words
            .flat_map(|word| {
                WORDS.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(word))
            })
            .map(|(_, quantization)| *quantization)
            .next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_it_or_not() {
        for (name, said) in [
            ("meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", Some("fp8")),
            ("moonshotai/Kimi-K2.5-fp4", Some("fp4")),
            ("FW-Nemotron-3-Ultra-NVFP4", Some("fp4")),
            ("@cf/meta/llama-3.1-8b-instruct-fp8-fast", Some("fp8")),
            ("qwen3_int8@bf16", Some("bf16")),
            ("gpt-5-mini", None),
            ("xfp8x", None),
            ("", None),
        ] {
            assert_eq!(Quantization::in_name(name).map(Quantization::as_str), said, "{name}");
        }
    }
}
