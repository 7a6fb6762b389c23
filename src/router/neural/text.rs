//! What a prompt looks like to the trained router: hashed words, word pairs and stems, and a few
//! counts. One pass over the characters, no allocation, the same for training and for asking.

/// Rows of the table that words are hashed into.
pub const BUCKETS: usize = 1 << 15;
/// Bits for pairs of words that are known.
pub const PAIRS: usize = 1 << 20;
/// Counts beside the words.
pub const COUNTS: usize = 24;

/// More of a text is not read: half from its beginning, half from its end. What decides is said at
/// either end, and the time that reading takes stays bounded.
const READ_BYTES: usize = 6_144;
/// Letters of a stem.
const STEM: usize = 4;

/// Seeds that keep the kinds of features apart.
const WORD: u64 = 0x9E37_79B9_7F4A_7C15;
const PAIR: u64 = 0xC2B2_AE3D_27D4_EB4F;
const STEMMED: u64 = 0x1656_67B1_9E37_79F9;
const MARK: u64 = 0x27D4_EB2F_1656_67C5;

/// A prompt as the router reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prompt<'a> {
    /// What is asked: of a conversation, the last thing that its user said.
    pub text: &'a str,
    /// Functions that may be called.
    pub tools: usize,
}

impl<'a> Prompt<'a> {
    /// A prompt without tools of its own; those that its text lists are counted.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, tools: 0 }
    }
}

/// The last question of a text that shows solved examples first.
fn last_question(text: &str) -> &str {
    let body = text.trim_end();
    let Some(body) = body.strip_suffix("Answer:") else { return text };
    let Some(at) = body.rfind("Answer:") else { return text };
    let rest = body.get(at..).unwrap_or(text);
    // What follows the last example's answer.
    rest.find("\n\n").and_then(|gap| text.get(at + gap + 2..)).unwrap_or(text)
}

/// The beginning and the end of a text, cut at characters.
fn ends(text: &str) -> (&str, &str) {
    if text.len() <= READ_BYTES {
        return (text, "");
    }
    let half = READ_BYTES / 2;
    let head = (0..=half).rev().find_map(|at| text.get(..at)).unwrap_or_default();
    let tail = (text.len() - half..text.len()).find_map(|at| text.get(at..)).unwrap_or_default();
    (head, tail)
}

/// Something that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    hash: u64,
    /// It is two words in a row: what tells the familiar from the new.
    pub pair: bool,
}

impl Trace {
    fn new(hash: u64, seed: u64) -> Self {
        let mut mixed = (hash ^ seed).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        mixed ^= mixed >> 32;
        mixed = mixed.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        Self { hash: mixed, pair: seed == PAIR }
    }

    /// Its row of the table.
    #[must_use]
    pub fn bucket(self) -> usize {
        usize::try_from(self.hash >> (64 - BUCKETS.trailing_zeros())).unwrap_or(0)
    }

    /// Its bit among the pairs.
    #[must_use]
    pub fn bit(self) -> usize {
        usize::try_from(self.hash % PAIRS as u64).unwrap_or(0)
    }
}

/// What is counted on the way.
#[derive(Debug, Default)]
struct Tally {
    chars: u32,
    words: u32,
    letters: u32,
    digits: u32,
    upper: u32,
    numbers: u32,
    long_numbers: u32,
    marks: u32,
    other_script: u32,
    ideographs: u32,
    lines: u32,
    options: u32,
    braces: u32,
    latex: u32,
    code: u32,
    questions: u32,
    quotes: u32,
    operators: u32,
    sentences: u32,
    tools: u32,
    indented: u32,
}

/// Words that ask for nothing.
const POLITE: [u64; 5] =
    [hash_of(b"please"), hash_of(b"thanks"), hash_of(b"thank"), hash_of(b"kindly"), hash_of(b"hi")];

const fn hash_of(word: &[u8]) -> u64 {
    let (mut hash, mut at) = (0, 0);
    while at < word.len() {
        hash = spelled(hash, word[at] as u64);
        at += 1;
    }
    hash
}

/// One more letter of a word.
const fn spelled(hash: u64, code: u64) -> u64 {
    (hash.rotate_left(5) ^ code).wrapping_mul(0x517C_C1B7_2722_0A95)
}

/// A word on its way.
#[derive(Debug, Default)]
struct Word {
    hash: u64,
    letters: usize,
    digits: usize,
    stem: u64,
}

struct Reader<'s, S> {
    see: &'s mut S,
    tally: Tally,
    word: Word,
    before: u64,
    /// Characters of the line so far, spaces aside.
    column: u32,
    /// The line began with a space.
    indent: bool,
    first: char,
}

impl<S: FnMut(Trace)> Reader<'_, S> {
    fn letter(&mut self, code: u64) {
        if self.word.digits > 0 {
            self.end();
        }
        let word = &mut self.word;
        word.hash = spelled(word.hash, code);
        word.letters += 1;
        if word.letters == STEM {
            word.stem = word.hash;
        }
    }

    fn digit(&mut self) {
        if self.word.letters > 0 {
            self.end();
        }
        self.word.digits += 1;
    }

    fn end(&mut self) {
        let Word { hash, letters, digits, stem } = std::mem::take(&mut self.word);
        let hash = if digits > 0 {
            self.tally.numbers += 1;
            self.tally.long_numbers += u32::from(digits > 2);
            // Numbers count by their length.
            digits.min(5) as u64
        } else if letters > 0 && !POLITE.contains(&hash) {
            hash
        } else {
            return;
        };
        self.tally.words += 1;
        (self.see)(Trace::new(hash, WORD));
        (self.see)(Trace::new(hash ^ self.before.rotate_left(17), PAIR));
        if letters > STEM {
            (self.see)(Trace::new(stem, STEMMED));
        }
        self.before = hash;
    }

    fn mark(&mut self, mark: char) {
        self.end();
        let tally = &mut self.tally;
        tally.marks += 1;
        match mark {
            '{' | '}' | '[' | ']' => tally.braces += 1,
            '$' | '\\' => tally.latex += 1,
            '?' | '？' => tally.questions += 1,
            '"' | '\'' | '`' => tally.quotes += 1,
            '+' | '*' | '/' | '=' | '<' | '>' | '^' | '%' => tally.operators += 1,
            '.' | '。' | '!' => tally.sentences += 1,
            '_' | ';' | '(' => tally.code += 1,
            _ => {}
        }
        // An option of a list: one letter, then a point or a parenthesis.
        if self.column == 2 && matches!(mark, '.' | ')') && self.first.is_ascii_uppercase() {
            tally.options += 1;
        }
        (self.see)(Trace::new(u64::from(u32::from(mark)), MARK));
    }

    fn read(&mut self, text: &str) {
        for one in text.chars() {
            match one {
                '\n' => {
                    self.end();
                    // Blank lines are spaces.
                    self.tally.lines += u32::from(self.column > 0);
                    self.column = 0;
                    self.indent = false;
                    continue;
                }
                ' ' | '\t' | '\r' => {
                    self.end();
                    self.indent |= self.column == 0;
                    continue;
                }
                _ => {}
            }
            self.tally.chars += 1;
            self.column += 1;
            if self.column == 1 {
                self.first = one;
                self.tally.indented += u32::from(self.indent && self.tally.lines > 0);
            }
            match one {
                'a'..='z' => {
                    self.tally.letters += 1;
                    self.letter(u64::from(u32::from(one)));
                }
                'A'..='Z' => {
                    self.tally.letters += 1;
                    self.tally.upper += 1;
                    self.letter(u64::from(u32::from(one.to_ascii_lowercase())));
                }
                '0'..='9' => {
                    self.tally.digits += 1;
                    self.digit();
                }
                '!'..='~' => self.mark(one),
                '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ff60}' => self.mark(one),
                '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' => {
                    self.end();
                    self.tally.ideographs += 1;
                    self.letter(u64::from(u32::from(one)));
                    self.end();
                }
                _ if one.is_alphanumeric() => {
                    self.tally.other_script += 1;
                    self.letter(u64::from(u32::from(one)));
                }
                _ => self.mark(one),
            }
        }
        self.end();
        // The last line counts whether or not it is ended.
        self.tally.lines += u32::from(self.column > 0);
        // What stands at the end and what stands at the beginning are no pair.
        self.before = 0;
        self.column = 0;
        self.indent = false;
    }
}

/// Reads a prompt: `see` is called with every word, pair, stem and mark, and what is given back is
/// the counts, each of the order of 1.
pub fn read(prompt: Prompt<'_>, see: &mut impl FnMut(Trace)) -> [f32; COUNTS] {
    let question = last_question(prompt.text);
    let shown = question.len() < prompt.text.len();
    let (head, tail) = ends(question);
    let mut reader = Reader {
        see,
        tally: Tally::default(),
        word: Word::default(),
        before: 0,
        column: 0,
        indent: false,
        first: ' ',
    };
    reader.read(head);
    if !tail.is_empty() {
        reader.read(tail);
    }
    let mut tally = reader.tally;
    let listed = if tally.braces > 6 { head.matches("\"parameters\"").count() } else { 0 };
    tally.tools = u32::try_from(prompt.tools.max(listed)).unwrap_or(u32::MAX);
    let unread = u32::try_from(question.len() - head.len() - tail.len()).unwrap_or(u32::MAX);
    let length = tally.chars.saturating_add(unread);
    counts(&tally, length, shown, question.trim_end().ends_with("Answer:"))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few thousand characters")]
fn counts(tally: &Tally, length: u32, shown: bool, answer: bool) -> [f32; COUNTS] {
    let chars = tally.chars.max(1) as f32;
    let log = |count: u32| (count as f32).ln_1p() / 3.0;
    let share = |count: u32| (count as f32 / chars * 10.0).min(2.0);
    [
        (length as f32).ln_1p() / 6.0 - 0.8,
        log(tally.words) - 1.2,
        tally.letters as f32 / tally.words.max(1) as f32 / 5.0 - 0.8,
        share(tally.digits),
        log(tally.numbers),
        log(tally.long_numbers),
        // Sentences and lines begin with one.
        share(tally.upper.saturating_sub(tally.sentences + tally.lines)),
        share(tally.marks),
        share(tally.other_script),
        (tally.ideographs as f32 / chars * 2.0).min(1.0),
        log(tally.lines),
        log(tally.options),
        if tally.options >= 8 { 1.0 } else { 0.0 },
        if (2..=6).contains(&tally.options) { 1.0 } else { 0.0 },
        log(tally.braces),
        log(tally.latex),
        log(tally.code),
        log(tally.questions),
        log(tally.quotes),
        log(tally.operators),
        log(tally.sentences),
        log(tally.tools),
        if shown || answer { 1.0 } else { 0.0 },
        log(tally.indented),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> (Vec<usize>, [f32; COUNTS]) {
        let mut buckets = Vec::new();
        let counts = read(Prompt::new(text), &mut |trace| buckets.push(trace.bucket()));
        (buckets, counts)
    }

    #[test]
    fn case_and_spaces_do_not_matter_to_words() {
        assert_eq!(seen("Prove  the Theorem").0, seen("prove the theorem ").0);
        assert_ne!(seen("prove the theorem").0, seen("the theorem prove").0);
    }

    #[test]
    fn of_solved_examples_only_the_last_question_counts() {
        let text = "Q one\nAnswer:\nA\n\nQ two\nAnswer:\nB\n\nWhich metal melts first?\nAnswer:";
        assert_eq!(last_question(text), "Which metal melts first?\nAnswer:");
        assert_eq!(last_question("Which?\nAnswer:"), "Which?\nAnswer:");
        assert_eq!(last_question(""), "");
    }

    #[test]
    fn a_long_text_is_read_in_part_and_cut_at_characters() {
        let (buckets, _) = seen(&"é".repeat(100_000));
        assert!(buckets.len() < 10);
        let (buckets, _) = seen(&"word ".repeat(100_000));
        assert!(buckets.len() < READ_BYTES);
    }

    #[test]
    fn options_and_scripts_are_counted() {
        let (_, counts) = seen("Which?\nA. one\nB. two\nC. three\nD. four\nAnswer:");
        assert!(counts[11] > 0.4 && counts[13] > 0.9);
        let (_, counts) = seen("目前最通用的楷书印刷体是");
        assert!(counts[9] > 0.9);
    }
}
