//! What a level rests on, in words.

use std::fmt;

use super::RestsOn;

impl fmt::Display for RestsOn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Figures { count: 1, latest, .. } => {
                write!(out, "from 1 public figure of {latest}")
            }
            Self::Figures { count, latest, .. } => {
                write!(out, "from {count} public figures, latest {latest}")
            }
            Self::Measured { prompts } => write!(out, "from its scores on {prompts} prompts"),
            Self::Family { nearest } => write!(out, "by its family, nearest {nearest}"),
            Self::Price => write!(out, "by its price"),
        }
    }
}
