//! What a text states of its user and of the world, by rules: the fallback where no model reads it.
//! English only, and only what is said in so many words.

use std::sync::LazyLock;

use regex::Regex;

/// A longer sentence is told, not stated.
const LONGEST: usize = 300;

/// Something that is so, as far as a text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    pub subject: Entity,
    /// Empty for a mere mention.
    pub relation: String,
    pub object: Entity,
}

/// Somebody or something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    pub name: String,
    /// `user`, `person`, `organization`, `place`, `email`, `thing`.
    pub kind: &'static str,
}

fn made(pattern: &str) -> Option<Regex> {
    // Every pattern is tried by a test.
    Regex::new(pattern).ok()
}

static OF_ONESELF: LazyLock<Option<Regex>> = LazyLock::new(|| {
    made(
        r"(?i)^(?:please )?(?:remember|note|keep in mind)\b|\b(?:my (?:\w+ ){1,3}(?:is|are)|i am|i'm|call me|i (?:live|work|study|grew up|was born|moved|like|love|prefer|hate|dislike|enjoy|use|own|have|speak|always|never|usually|don't (?:like|eat|drink|use)))\b",
    )
});

static ASKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    made(
        r"(?i)^(?:what|who|where|when|why|how|which|can|could|would|will|do|does|did|is|are|should)\b|\?$",
    )
});

/// Verbs, and what stands before and after them.
static STATED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    made(
        r"(?P<subject>\bI\b|\bMy \w+|\bmy \w+|\b[A-Z][\w'’\-]+(?: [A-Z][\w'’\-]+){0,3}) (?P<verb>works? (?:at|for)|lives? in|am from|is from|was born in|moved to|studies at|study at|is married to|reports to|manages?|founded|owns?|uses?|likes?|loves?|prefers?|hates?|knows?|speaks?|is called|am called|name is|is an|is a|am an|am a|am|is) (?P<object>(?:the |an? )?[\w'’\-]+(?: (?:of |the |and )?[A-Z\d][\w'’\-]*){0,4}|[\w'’\-]+(?: [\w'’\-]+){0,2})",
    )
});

static NAMES: LazyLock<Option<Regex>> =
    LazyLock::new(|| made(r"\b[A-Z][\w'’\-]+(?: (?:of |de |van |von )?[A-Z][\w'’\-]+){0,3}\b"));

static EMAILS: LazyLock<Option<Regex>> =
    LazyLock::new(|| made(r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,24}"));

/// Words with a capital that name nobody.
const NO_NAMES: [&str; 30] = [
    "A", "An", "And", "Are", "But", "Call", "Do", "For", "He", "Her", "His", "How", "I", "I'm",
    "If", "In", "It", "Its", "My", "Note", "Our", "Please", "Remember", "She", "That", "The",
    "They", "This", "We", "What",
];

/// The sentences of a text.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '!', ';'])
        .flat_map(|line| line.split_inclusive(". "))
        .flat_map(|line| line.split_inclusive('?'))
        .map(|sentence| sentence.trim().trim_end_matches('.').trim())
        .filter(|sentence| !sentence.is_empty())
}

/// What a user says of themselves that is worth keeping.
#[must_use]
pub fn facts(text: &str) -> Vec<String> {
    let matches = |pattern: &Option<Regex>, text: &str| {
        pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
    };
    sentences(text)
        .filter(|sentence| sentence.len() <= LONGEST && sentence.contains(' '))
        .filter(|sentence| !matches(&ASKS, sentence) && matches(&OF_ONESELF, sentence))
        .map(str::to_owned)
        .take(8)
        .collect()
}

fn kind_of_object(verb: &str) -> &'static str {
    match verb.split(' ').next_back().unwrap_or_default() {
        "at" | "for" | "founded" => "organization",
        "in" | "from" | "to" if verb.starts_with("live") || verb.ends_with("from") => "place",
        "in" | "to" if verb.starts_with("was born") || verb.starts_with("moved") => "place",
        "to" => "person",
        "manage" | "manages" | "know" | "knows" => "person",
        _ => "thing",
    }
}

fn subject(said: &str) -> Entity {
    let name = said.trim();
    if name == "I" {
        return Entity { name: "user".to_owned(), kind: "user" };
    }
    if let Some(what) = name.strip_prefix("My ").or_else(|| name.strip_prefix("my ")) {
        return Entity { name: format!("user's {what}"), kind: "thing" };
    }
    Entity { name: name.to_owned(), kind: "person" }
}

/// What a text states, and whom else it names.
#[must_use]
pub fn relations(text: &str) -> Vec<Relation> {
    let mut found: Vec<Relation> = Vec::new();
    let mut named: Vec<String> = Vec::new();
    let mut note = |relation: Relation| {
        if !found.contains(&relation) && found.len() < 64 {
            named.push(relation.subject.name.clone());
            named.push(relation.object.name.clone());
            found.push(relation);
        }
    };
    for sentence in sentences(text).filter(|sentence| sentence.len() <= LONGEST) {
        for stated in STATED.iter().flat_map(|pattern| pattern.captures_iter(sentence)) {
            let (verb, object) = (&stated["verb"], stated["object"].trim());
            let relation = Relation {
                subject: subject(&stated["subject"]),
                relation: verb.to_lowercase(),
                object: Entity { name: object.to_owned(), kind: kind_of_object(verb) },
            };
            if !NO_NAMES.contains(&relation.subject.name.as_str()) {
                note(relation);
            }
        }
    }
    let mut mention = |name: &str, kind: &'static str| {
        let known = named.iter().any(|one| one.contains(name));
        if !known && found.len() < 64 {
            named.push(name.to_owned());
            let user = Entity { name: "user".to_owned(), kind: "user" };
            let object = Entity { name: name.to_owned(), kind };
            found.push(Relation { subject: user, relation: String::new(), object });
        }
    };
    for email in EMAILS.iter().flat_map(|pattern| pattern.find_iter(text)) {
        mention(email.as_str(), "email");
    }
    for name in NAMES.iter().flat_map(|pattern| pattern.find_iter(text)) {
        let name = name.as_str();
        // The first word of a sentence has a capital for no reason of its own.
        let name = match name.split_once(' ') {
            Some((first, rest)) if NO_NAMES.contains(&first) => rest,
            _ => name,
        };
        let alone = !name.contains(' ');
        let starts = alone && sentences(text).any(|sentence| sentence.starts_with(name));
        if !NO_NAMES.contains(&name) && !starts {
            mention(name, "thing");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patterns_compile() {
        for pattern in [&OF_ONESELF, &ASKS, &STATED, &NAMES, &EMAILS] {
            assert!(pattern.is_some());
        }
        assert!(NO_NAMES.is_sorted());
    }

    #[test]
    fn what_is_said_of_oneself_is_kept_and_questions_are_not() {
        assert_eq!(
            facts("Hi! My name is Ann. I live in Berlin. What is the weather there? Compute 2+2."),
            ["My name is Ann", "I live in Berlin"]
        );
        assert_eq!(
            facts("Please remember that the meeting is on Friday"),
            ["Please remember that the meeting is on Friday"]
        );
        assert!(facts("Where do I live?").is_empty());
        assert!(facts("Write a poem about rain.").is_empty());
        assert!(facts(&format!("I like {}", "rain ".repeat(100))).is_empty());
    }

    #[test]
    fn relations_name_who_what_and_where() {
        let said = relations("Ann works at Acme Corp. I live in Berlin. Write to bob@acme.com.");
        let told: Vec<(&str, &str, &str, &str)> = said
            .iter()
            .map(|one| {
                (
                    one.subject.name.as_str(),
                    one.relation.as_str(),
                    one.object.name.as_str(),
                    one.object.kind,
                )
            })
            .collect();
        assert!(told.contains(&("Ann", "works at", "Acme Corp", "organization")), "{told:?}");
        assert!(told.contains(&("user", "live in", "Berlin", "place")), "{told:?}");
        assert!(told.contains(&("user", "", "bob@acme.com", "email")), "{told:?}");
        assert!(relations("").is_empty());
    }
}
