//! Finding what is remembered of a user: by meaning (every vector compared), by words (BM25), and
//! both ranks added up. Kept in memory, made of rows, the same over either store.

use std::collections::HashMap;

use super::embedding::{hash, is_common, product, words};
use crate::base::clock::Timestamp;

/// How many of each ranking are added up.
const RANKED: usize = 100;
/// What softens the lead of first places: the constant of reciprocal rank fusion (Cormack 2009).
const FUSION: f64 = 60.0;
/// BM25's usual constants.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// A memory, with what a search needs of it.
#[derive(Debug, Clone)]
pub struct RecallEntry {
    pub id: String,
    pub place: i64,
    pub text: String,
    pub tags: Vec<String>,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
    pub vector: Vec<i8>,
}

/// What is searched for among memories.
#[derive(Debug, Clone, Default)]
pub struct RecallQuery {
    pub text: String,
    pub vector: Vec<i8>,
    /// All of them have to be there.
    pub tags: Vec<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub limit: usize,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub id: String,
    /// The sum over the rankings; greater is better.
    pub score: f64,
    /// Cosine of the vectors, from -1 to 1.
    pub similarity: f32,
    /// It has a word of the query, not counting words that say nothing.
    pub has_words: bool,
}

#[derive(Debug)]
struct Document {
    id: String,
    tags: Box<[String]>,
    created: Timestamp,
    expires: Option<Timestamp>,
    words: u32,
    /// Of its vector.
    length: f32,
}

/// The memories of one user.
#[derive(Debug, Default)]
pub struct Index {
    /// Of the newest memory in it.
    pub last_place: i64,
    /// How often something had been forgotten when it was made.
    pub forgotten: i64,
    documents: Vec<Document>,
    /// Side by side, so that comparing them all is one pass over memory.
    vectors: Vec<i8>,
    dimensions: usize,
    /// Where each word stands, and how often.
    postings: HashMap<u64, Vec<(u32, u16)>>,
    all_words: u64,
}

fn terms(text: &str) -> HashMap<u64, u16> {
    let mut terms: HashMap<u64, u16> = HashMap::new();
    for word in words(text).filter(|word| !is_common(word)) {
        let count = terms.entry(hash(word.as_bytes(), 1)).or_default();
        *count = count.saturating_add(1);
    }
    terms
}

#[expect(clippy::cast_precision_loss, reason = "sums of a few thousand bytes")]
fn real(n: i32) -> f32 {
    n as f32
}

impl Index {
    /// An empty one, made after so much had been forgotten.
    #[must_use]
    pub fn after(forgotten: i64) -> Self {
        Self { forgotten, ..Self::default() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Bytes that it takes, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.vectors.len() + self.documents.len() * 160 + self.postings.len() * 48
    }

    pub fn add(&mut self, entry: RecallEntry) {
        let Ok(number) = u32::try_from(self.documents.len()) else { return };
        if self.documents.is_empty() {
            self.dimensions = entry.vector.len();
        }
        // Vectors of another model have no angle to these: such a memory is found by its words.
        let mut vector = entry.vector;
        if vector.len() != self.dimensions {
            vector = vec![0; self.dimensions];
        }
        let terms = terms(&entry.text);
        let words: u32 = terms.values().map(|count| u32::from(*count)).sum();
        for (term, count) in terms {
            self.postings.entry(term).or_default().push((number, count));
        }
        self.all_words += u64::from(words);
        self.documents.push(Document {
            id: entry.id,
            tags: entry.tags.into(),
            created: entry.created,
            expires: entry.expires,
            words,
            length: real(product(&vector, &vector)).sqrt(),
        });
        self.vectors.extend_from_slice(&vector);
        self.last_place = self.last_place.max(entry.place);
    }

    fn fits(&self, number: u32, query: &RecallQuery, now: Timestamp) -> bool {
        self.documents.get(number as usize).is_some_and(|document| {
            document.expires.is_none_or(|expires| now < expires)
                && query.since.is_none_or(|since| document.created >= since)
                && query.until.is_none_or(|until| document.created < until)
                && query.tags.iter().all(|tag| document.tags.contains(tag))
        })
    }

    fn similarity(&self, number: usize, vector: &[i8], length: f32) -> f32 {
        let at = number * self.dimensions;
        let known = self.vectors.get(at..at + self.dimensions).unwrap_or_default();
        let lengths = length * self.documents.get(number).map_or(0.0, |one| one.length);
        if lengths > 0.0 { real(product(known, vector)) / lengths } else { 0.0 }
    }

    /// Numbers with how near they are, nearest first.
    fn by_meaning(&self, query: &RecallQuery, now: Timestamp) -> Vec<(u32, f64)> {
        if query.vector.len() != self.dimensions || self.dimensions == 0 {
            return Vec::new();
        }
        let length = real(product(&query.vector, &query.vector)).sqrt();
        let near = (0..self.documents.len()).filter_map(|number| {
            let similarity = self.similarity(number, &query.vector, length);
            let number = u32::try_from(number).ok()?;
            (similarity > 0.0).then_some((number, f64::from(similarity)))
        });
        self.best(near.collect(), query, now)
    }

    /// Numbers with what their words are worth, best first.
    #[expect(clippy::cast_precision_loss, reason = "counts of documents and words")]
    fn by_words(&self, query: &RecallQuery, now: Timestamp) -> Vec<(u32, f64)> {
        let all = self.documents.len() as f64;
        let usual = (self.all_words as f64 / all.max(1.0)).max(1.0);
        let mut scores: HashMap<u32, f64> = HashMap::new();
        for term in terms(&query.text).keys() {
            let Some(postings) = self.postings.get(term) else { continue };
            let with = postings.len() as f64;
            let rarity = (1.0 + (all - with + 0.5) / (with + 0.5)).ln();
            for (number, count) in postings {
                let words = self.documents.get(*number as usize).map_or(0, |one| one.words);
                let count = f64::from(*count);
                let long = K1 * (1.0 - B + B * f64::from(words) / usual);
                *scores.entry(*number).or_default() += rarity * count * (K1 + 1.0) / (count + long);
            }
        }
        self.best(scores.into_iter().collect(), query, now)
    }

    fn best(
        &self,
        mut scored: Vec<(u32, f64)>,
        query: &RecallQuery,
        now: Timestamp,
    ) -> Vec<(u32, f64)> {
        scored.retain(|(number, _)| self.fits(*number, query, now));
        let better = |one: &(u32, f64), other: &(u32, f64)| {
            // The newer of equals.
            other.1.total_cmp(&one.1).then(other.0.cmp(&one.0))
        };
        let most = RANKED.max(query.limit);
        if scored.len() > most {
            scored.select_nth_unstable_by(most, better);
            scored.truncate(most);
        }
        scored.sort_by(better);
        scored
    }

    /// What fits the query, best first.
    #[must_use]
    pub fn search(&self, query: &RecallQuery, now: Timestamp) -> Vec<Hit> {
        let worded = self.by_words(query, now);
        let mut sums: HashMap<u32, f64> = HashMap::new();
        for ranking in [&self.by_meaning(query, now), &worded] {
            for (rank, (number, _)) in (1_u32..).zip(ranking) {
                *sums.entry(*number).or_default() += 1.0 / (FUSION + f64::from(rank));
            }
        }
        let mut sums: Vec<(u32, f64)> = sums.into_iter().collect();
        sums.sort_by(|one, other| other.1.total_cmp(&one.1).then(other.0.cmp(&one.0)));
        let length = real(product(&query.vector, &query.vector)).sqrt();
        let compares = query.vector.len() == self.dimensions;
        sums.into_iter()
            .take(query.limit)
            .filter_map(|(number, score)| {
                let document = self.documents.get(number as usize)?;
                let similarity = if compares {
                    self.similarity(number as usize, &query.vector, length)
                } else {
                    0.0
                };
                let has_words = worded.iter().any(|(one, _)| *one == number);
                Some(Hit { id: document.id.clone(), score, similarity, has_words })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::embedding::{embed, packed};
    use super::*;

    fn entry(number: i64, text: &str) -> RecallEntry {
        RecallEntry {
            id: format!("mem_{number}"),
            place: number,
            text: text.to_owned(),
            tags: vec![if number % 2 == 0 { "even" } else { "odd" }.to_owned()],
            created: Timestamp(number * 1_000),
            expires: (number == 3).then_some(Timestamp(10_000)),
            vector: packed(&embed(text)),
        }
    }

    fn query(text: &str) -> RecallQuery {
        RecallQuery {
            text: text.to_owned(),
            vector: packed(&embed(text)),
            limit: 3,
            ..RecallQuery::default()
        }
    }

    #[test]
    fn words_and_meaning_find_what_was_said() {
        let mut index = Index::default();
        let said = [
            "The user prefers tea over coffee",
            "Ann lives in Berlin",
            "The meeting is on Friday at ten",
            "Ann's sister lives in Munich",
        ];
        for (number, text) in (1..).zip(said) {
            index.add(entry(number, text));
        }
        let now = Timestamp(20_000);
        let first =
            |query: &RecallQuery| index.search(query, now).first().map(|hit| hit.id.clone());
        assert_eq!(first(&query("does the user like coffee?")).as_deref(), Some("mem_1"));
        assert_eq!(first(&query("who lives in Berlin")).as_deref(), Some("mem_2"));
        let friday = |now| index.search(&query("Friday at ten"), Timestamp(now));
        assert_eq!(friday(5_000)[0].id, "mem_3");
        assert!(friday(20_000).iter().all(|hit| hit.id != "mem_3"), "it has expired");
        let odd = RecallQuery { tags: vec!["odd".to_owned()], ..query("lives in Berlin") };
        assert_ne!(first(&odd).as_deref(), Some("mem_2"));
        let late = RecallQuery { since: Some(Timestamp(4_000)), ..query("Ann lives in Berlin") };
        assert_eq!(first(&late).as_deref(), Some("mem_4"));
        assert!(index.search(&query(""), now).is_empty());
        assert_eq!((index.len(), index.last_place), (4, 4));
    }

    #[test]
    fn one_among_many_is_found() {
        let mut index = Index::default();
        for number in 0..20_000 {
            index.add(entry(number, &format!("note {number} about subject {}", number % 997)));
        }
        let hit = index.search(&query("note 12345"), Timestamp(0));
        assert_eq!(hit[0].id, "mem_12345");
    }
}
