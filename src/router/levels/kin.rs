//! Which models are of a kind, by their names alone.

/// Words that say how fast, how new or how well dressed a model is, and not how good.
const DRESS: [&str; 16] = [
    "preview",
    "latest",
    "highspeed",
    "lightning",
    "ultraspeed",
    "exp",
    "it",
    "instruct",
    "hf",
    "v",
    "fast",
    "customtools",
    "contributor",
    "api",
    "chat",
    "thinking",
];

/// What a difference costs in nearness: of a word, of a version, of a factor in size.
const WORD: f32 = 1.2;
const VERSION: f32 = 0.6;
const SIZE: f32 = 0.7;
/// Versions farther apart than this are as far apart as this.
const FAR: f32 = 3.0;
/// One has a version, or a size, and the other has none.
const UNKNOWN: f32 = 0.8;

/// A model's name, taken apart: `gpt-6.2-sol` is of `gpt`, version 6.2, and a `sol`.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    /// The first word.
    line: String,
    /// The others that say something, sorted.
    words: Vec<String>,
    version: Option<f32>,
    /// Billions of parameters.
    size: Option<f32>,
}

/// Runs of letters and of numbers: `qwen3.6-plus` is `qwen`, `3.6`, `plus`.
fn pieces(name: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut before = '-';
    for one in name.chars() {
        let joins = match one {
            '.' => before.is_ascii_digit(),
            'a'..='z' => before.is_ascii_lowercase(),
            '0'..='9' => before.is_ascii_digit() || before == '.',
            _ => false,
        };
        if joins {
            if let Some(last) = all.last_mut() {
                last.push(one);
            }
        } else if one.is_ascii_alphanumeric() {
            all.push(one.to_string());
        }
        before = one;
    }
    all
}

impl Name {
    #[must_use]
    pub fn read(name: &str) -> Self {
        let bare = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let all = pieces(&bare);
        let mut read = Self { line: String::new(), words: Vec::new(), version: None, size: None };
        let mut numbers: Vec<&str> = Vec::new();
        let mut rest = all.iter().map(String::as_str).peekable();
        while let Some(piece) = rest.next() {
            let digits = piece.chars().filter(char::is_ascii_digit).count();
            if digits == 0 {
                if read.line.is_empty() {
                    piece.clone_into(&mut read.line);
                } else if !DRESS.contains(&piece) {
                    read.words.push(piece.to_owned());
                }
            } else if matches!(rest.peek(), Some(&("b" | "t"))) {
                // A size; of several the first, which is the whole.
                let times = if rest.next() == Some("t") { 1_000.0 } else { 1.0 };
                let size = piece.parse::<f32>().ok().map(|size| size * times);
                read.size = read.size.or(size);
                read.words.retain(|word| word != "a");
            } else if digits < 4 || piece.contains('.') {
                numbers.push(piece);
            }
        }
        read.version = match numbers.as_slice() {
            [] => None,
            // `4-7` is 4.7.
            [first, second, ..] if !first.contains('.') && second.len() == 1 => {
                format!("{first}.{second}").parse().ok()
            }
            [first, ..] => first.parse().ok(),
        };
        read.words.sort_unstable();
        read.words.dedup();
        read
    }

    /// The first word: a maker's line of models.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The words that say something, sorted.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    #[must_use]
    pub fn version(&self) -> Option<f32> {
        self.version
    }

    /// Billions of parameters, where the name says so.
    #[must_use]
    pub fn size(&self) -> Option<f32> {
        self.size
    }

    /// From 0, of another line, to 1, the same model by another name.
    #[must_use]
    pub fn nearness(&self, other: &Self) -> f32 {
        if self.line != other.line {
            return 0.0;
        }
        let lacks = |one: &Self, other: &Self| {
            one.words.iter().filter(|word| !other.words.contains(word)).count()
        };
        let differing = u8::try_from(lacks(self, other) + lacks(other, self)).unwrap_or(u8::MAX);
        let apart = |one: Option<f32>, other: Option<f32>, cost: &dyn Fn(f32, f32) -> f32| match (
            one, other,
        ) {
            (Some(one), Some(other)) => cost(one, other),
            (None, None) => 0.0,
            _ => UNKNOWN,
        };
        let version = apart(self.version, other.version, &|one, other| {
            VERSION * (one - other).abs().min(FAR)
        });
        let size = apart(self.size, other.size, &|one, other| SIZE * (one / other).ln().abs());
        (-(WORD * f32::from(differing) + version + size)).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: &str, other: &str) -> f32 {
        Name::read(one).nearness(&Name::read(other))
    }

    #[test]
    fn names_of_a_kind_are_near() {
        assert!(near("kimi-k2.7-code-highspeed", "kimi-k2.7-code") > 0.99);
        assert!(near("gpt-6.2-sol", "gpt-6-sol") > near("gpt-6.2-sol", "gpt-6-luna"));
        assert!(near("claude-fable-5-1", "claude-fable-5") > 0.9);
        assert!(
            near("claude-opus-4-1", "claude-opus-4-5")
                > near("claude-opus-4-1", "claude-sonnet-4-5")
        );
        assert!(near("qwen3-32b", "qwen3-30b-a3b") > near("qwen3-32b", "qwen3-235b"));
        assert!(near("gpt-5", "glm-5") < 1e-6);
        assert_eq!(Name::read("qwen3.8-2.4t-a95b").size(), Some(2_400.0));
        assert_eq!(Name::read("mistral-large-2512").version, None);
        assert_eq!(Name::read("claude-opus-4-7").version, Some(4.7));
    }
}
