//! What a model's name says of it: which family it is of, and how large it is.

/// Words of names that do not tell two models apart.
const DRESS: [&str; 13] = [
    "instruct", "chat", "it", "hf", "fc", "preview", "latest", "open", "meta", "exp", "sft", "v0",
    "fp8",
];

/// The name of a model without its maker, its date and how it was dressed up:
/// `Mixtral-8x7B-Instruct-v0.1`, `open-mixtral-8x7b` and `mixtral-8x7b` are one.
#[must_use]
pub fn family(name: &str) -> String {
    let bare = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let bare =
        bare.replace(['_', ':', '@'], "-").replace("gpt35", "gpt-3.5").replace("gpt4", "gpt-4");
    let mut kept: Vec<&str> = Vec::new();
    for word in bare.split('-') {
        let version = word.strip_prefix('v').is_some_and(|rest| {
            rest.starts_with("0.") && rest.chars().all(|one| one.is_ascii_digit() || one == '.')
        });
        let date = word.len() >= 6 && word.chars().all(|one| one.is_ascii_digit());
        if word.is_empty() || version || date || DRESS.contains(&word) {
            continue;
        }
        kept.push(word);
    }
    // A date in parts, a month and a day, or a build: sizes carry their `b`.
    let is_build =
        |word: &&str| (2..=4).contains(&word.len()) && word.chars().all(|one| one.is_ascii_digit());
    while kept.len() > 1 && kept.last().is_some_and(is_build) {
        kept.pop();
    }
    kept.join("-").replace("3-1-", "3.1-").replace("-3-5-", "-3.5-")
}

/// Billions of parameters, where the name says so: `70b`, `8x7b`, `1.5b`.
#[must_use]
pub fn parameters(name: &str) -> Option<f32> {
    let lower = name.to_ascii_lowercase();
    lower.split(['-', '_', '/', ' ', ':']).find_map(|word| {
        let number = word.strip_suffix('b')?;
        match number.split_once('x') {
            Some((experts, each)) => Some(experts.parse::<f32>().ok()? * each.parse::<f32>().ok()?),
            None => number.parse().ok(),
        }
    })
}

/// Places that the words of names are hashed into.
const WORDS: usize = 96;
/// Plain clues before the words.
const PLAIN: usize = 8;
/// What is known of a model that was never tried.
pub const CLUES: usize = PLAIN + WORDS;

/// Splits a name into words and numbers: `qwen2.5-72b` is `qwen`, `2.5`, `72b`.
fn words(name: &str) -> Vec<String> {
    let lower = name.to_ascii_lowercase().replace("3_1", "3.1");
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for one in lower.chars() {
        let joins = match one {
            '.' => before.is_ascii_digit(),
            'a'..='z' => before.is_ascii_alphanumeric(),
            '0'..='9' => before.is_ascii_digit() || before == '.',
            _ => false,
        };
        if !joins && one.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut()
            && (one.is_ascii_alphanumeric() || joins)
        {
            word.push(one);
        }
        before = one;
    }
    words
}

/// What a name and a price, in USD per million tokens, say of a model: a constant, the log prices,
/// the log size and the version, with whether each is known; and the words of the name.
#[must_use]
pub fn clues(name: &str, price_in: Option<f64>, price_out: Option<f64>) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "a rough measure")]
    let log = |price: Option<f64>| price.map_or(0.0, |price| (price.max(0.01) as f32).ln());
    let known = |is: bool| if is { 1.0 } else { 0.0 };
    let size = parameters(name);
    let words = words(name);
    // The first number that is neither a size nor a date.
    let version = words.iter().find_map(|word| {
        word.parse::<f32>().ok().filter(|number| *number < 10.0 && word.len() < 4)
    });
    let mut clues = vec![
        1.0,
        log(price_in),
        log(price_out),
        known(price_in.is_some()),
        size.map_or(0.0, |size| size.max(0.5).ln()),
        known(size.is_some()),
        version.unwrap_or(0.0),
        known(version.is_some()),
    ];
    clues.resize(CLUES, 0.0);
    for word in words {
        let hash = word.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        let place = usize::try_from((hash >> 32) % WORDS as u64).unwrap_or(0);
        if let Some(clue) = clues.get_mut(PLAIN + place) {
            *clue = 1.0;
        }
    }
    clues
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_model_are_one_family() {
        for (one, other) in [
            ("Mixtral-8x7B-Instruct-v0.1", "open-mixtral-8x7b"),
            ("gpt-4-1106", "gpt4_1106_preview"),
            ("gpt-4o-2024-08-06", "openai/gpt-4o"),
            ("claude-3-5-sonnet-20241022", "claude-3.5-sonnet"),
            ("llama-3_1-70b-instruct", "llama-3.1-70b"),
            ("gemini-1.5-flash-002", "gemini-1.5-flash"),
        ] {
            assert_eq!(family(one), family(other), "{one} {other}");
        }
        assert_ne!(family("gpt-4o"), family("gpt-4o-mini"));
        assert_ne!(family("llama-3-8b"), family("llama-3-70b"));
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(parameters("mixtral-8x7b-instruct"), Some(56.0));
        assert_eq!(parameters("qwen2.5-1.5b"), Some(1.5));
        assert_eq!(parameters("gpt-4o"), None);
    }
}
