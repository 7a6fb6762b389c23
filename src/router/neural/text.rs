//! What a prompt looks like to the trained router: hashed words, word pairs and stems, and a few
//! counts. One pass over the characters, no allocation, the same for training and for asking.

use super::form::{MANNERS, PromptForm, TextStyle, UNITS};
use super::trace::{Trace, TraceKind, hash_of, spelled};

/// Counts beside the words.
pub const COUNTS: usize = 24;

/// More of a text is not read: half from its beginning, half from its end. What decides is said at
/// either end, and the time that reading takes stays bounded.
const READ_BYTES: usize = 6_144;
/// Letters of a stem.
const STEM: usize = 4;
/// A word of more letters is a long one.
const LONG: usize = 8;

/// A prompt as the router reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prompt<'a> {
    /// What is asked: of a conversation, the last thing that its user said.
    pub text: &'a str,
    /// Functions that may be called.
    pub tools: usize,
    /// What came with it.
    pub form: PromptForm,
}

impl<'a> Prompt<'a> {
    /// A prompt without tools of its own; those that its text lists are counted.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, tools: 0, form: PromptForm::default() }
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
    /// Words since the last sentence or line ended, and since the line began.
    sentence: u32,
    line_words: u32,
    manner: TextStyle,
}

/// A number that was just read, and how many marks ago: "1,500-word" names a length.
#[derive(Debug, Default)]
struct Figure {
    value: u32,
    marks: u32,
}

/// What was counted in a text of a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextCounts {
    /// Each of the order of 1.
    pub counts: [f32; COUNTS],
    /// More of them, for prompts of everyday use.
    pub manner: [f32; MANNERS],
    /// The tokens of the answer, where the text says how long it is to be.
    pub asked: Option<f32>,
}

/// Words that ask for nothing.
const POLITE: [u64; 5] =
    [hash_of(b"please"), hash_of(b"thanks"), hash_of(b"thank"), hash_of(b"kindly"), hash_of(b"hi")];

/// A word on its way.
#[derive(Debug, Default, Clone, Copy)]
struct Word {
    hash: u64,
    letters: usize,
    digits: usize,
    stem: u64,
    value: u32,
}

impl Tally {
    fn sentence_ends(&mut self) {
        self.manner.longest = self.manner.longest.max(std::mem::take(&mut self.sentence));
    }

    fn line_ends(&mut self) {
        self.sentence_ends();
        let words = std::mem::take(&mut self.line_words);
        if self.lines == 0 {
            self.manner.first_line = words;
        }
        self.manner.last_line = words;
    }
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
    figure: Figure,
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

    fn digit(&mut self, digit: u32) {
        if self.word.letters > 0 {
            self.end();
        }
        self.word.digits += 1;
        self.word.value = self.word.value.saturating_mul(10).saturating_add(digit);
    }

    /// Keeps a number, or what follows its mark of thousands.
    fn figure(&mut self, value: u32, digits: usize) {
        let goes_on = self.figure.marks == 1 && digits == 3 && self.figure.value > 0;
        let before = if goes_on { self.figure.value.saturating_mul(1_000) } else { 0 };
        self.figure = Figure { value: before.saturating_add(value), marks: 0 };
    }

    fn end(&mut self) {
        let Word { hash, letters, digits, stem, value } = std::mem::take(&mut self.word);
        let hash = if digits > 0 {
            self.tally.numbers += 1;
            self.tally.long_numbers += u32::from(digits > 2);
            self.figure(value, digits);
            // Numbers count by their length.
            digits.min(5) as u64
        } else if letters > 0 && !POLITE.contains(&hash) {
            hash
        } else {
            return;
        };
        let tally = &mut self.tally;
        tally.words += 1;
        tally.sentence += 1;
        tally.line_words += 1;
        if letters > 0 {
            if self.figure.value > 0 && self.figure.marks < 2 && UNITS.contains(&hash) {
                tally.manner.asks_for(self.figure.value);
            }
            self.figure.value = 0;
            tally.manner.long_words += u32::from(letters > LONG);
        }
        (self.see)(Trace::new(hash, TraceKind::Word));
        (self.see)(Trace::new(hash ^ self.before.rotate_left(17), TraceKind::Pair));
        if letters > STEM {
            (self.see)(Trace::new(stem, TraceKind::Stem));
        }
        self.before = hash;
    }

    fn mark(&mut self, mark: char) {
        self.end();
        self.figure.marks += 1;
        let column = self.column;
        let tally = &mut self.tally;
        tally.marks += 1;
        match mark {
            '{' | '}' | '[' | ']' => tally.braces += 1,
            '$' | '\\' => tally.latex += 1,
            '?' | '？' => {
                tally.questions += 1;
                tally.sentence_ends();
            }
            '"' | '\'' | '`' => tally.quotes += 1,
            '+' | '*' | '/' | '=' | '<' | '>' | '^' | '%' => tally.operators += 1,
            '.' | '。' | '!' => {
                tally.sentences += 1;
                tally.sentence_ends();
            }
            ',' | '、' | '，' => tally.manner.commas += 1,
            '_' | ';' | '(' => tally.code += 1,
            _ => {}
        }
        if mark == '`' && column == 3 && self.first == '`' {
            tally.manner.fences += 1;
        }
        // An option of a list: one letter, then a point or a parenthesis.
        if self.column == 2 && matches!(mark, '.' | ')') && self.first.is_ascii_uppercase() {
            tally.options += 1;
        }
        (self.see)(Trace::new(u64::from(u32::from(mark)), TraceKind::Mark));
    }

    /// Reads on in a word as far as there are small letters of ASCII, of which most text is; how many
    /// there were.
    fn run(&mut self, bytes: &[u8]) -> usize {
        let Word { mut hash, mut letters, mut stem, .. } = self.word;
        let mut count = 0;
        for byte in bytes.iter().take_while(|byte| byte.is_ascii_lowercase()) {
            hash = spelled(hash, u64::from(*byte));
            letters += 1;
            count += 1;
            if letters == STEM {
                stem = hash;
            }
        }
        self.word = Word { hash, letters, stem, ..self.word };
        count
    }

    fn read(&mut self, text: &str) {
        let mut chars = text.chars();
        while let Some(one) = chars.next() {
            match one {
                '\n' => {
                    self.end();
                    if self.column > 0 {
                        self.tally.line_ends();
                    }
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
                    self.letter(u64::from(u32::from(one)));
                    let rest = chars.as_str();
                    let run = self.run(rest.as_bytes());
                    chars = rest.get(run..).unwrap_or_default().chars();
                    // No text that is read is as long.
                    let run = u32::try_from(run).unwrap_or(u32::MAX);
                    self.tally.letters += 1 + run;
                    self.tally.chars += run;
                    self.column += run;
                }
                'A'..='Z' => {
                    self.tally.letters += 1;
                    self.tally.upper += 1;
                    self.letter(u64::from(u32::from(one.to_ascii_lowercase())));
                }
                '0'..='9' => {
                    self.tally.digits += 1;
                    self.digit(u32::from(one) - u32::from('0'));
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
                    let small = one.to_lowercase().next().unwrap_or(one);
                    self.letter(u64::from(u32::from(small)));
                }
                _ => self.mark(one),
            }
        }
        self.end();
        // The last line counts whether or not it is ended.
        if self.column > 0 {
            self.tally.line_ends();
            self.tally.lines += 1;
        }
        // What stands at the end and what stands at the beginning are no pair.
        self.before = 0;
        self.column = 0;
        self.indent = false;
    }
}

/// Reads a prompt: `see` is called with every word, pair, stem and mark, and what is given back is
/// what was counted.
pub fn read(prompt: Prompt<'_>, see: &mut impl FnMut(Trace)) -> TextCounts {
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
        figure: Figure::default(),
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
    let body = question.trim_end();
    let manner = &mut tally.manner;
    manner.casual = body.chars().next().is_some_and(char::is_lowercase);
    manner.asks = body.ends_with(['?', '？']);
    TextCounts {
        counts: counts(&tally, length, shown, body.ends_with("Answer:")),
        manner: tally.manner.counts(),
        asked: tally.manner.asked(),
    }
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
        let TextCounts { counts, .. } =
            read(Prompt::new(text), &mut |trace| buckets.push(trace.bucket()));
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
    fn a_length_that_is_named_is_read() {
        let asked = |text| read(Prompt::new(text), &mut |_| {}).asked;
        let close = |text, tokens: f32| {
            let read = asked(text).unwrap_or_default();
            assert!((read / tokens - 1.0).abs() < 0.1, "{text}: {read}");
        };
        close("Write a 1,500-word chapter.", 2_100.0);
        close("in 200 words, please", 280.0);
        close("Höchstens 80 Wörter.", 112.0);
        close("不超过120字", 168.0);
        assert_eq!(asked("3 words"), None);
        assert_eq!(asked("In 2024 words were said."), None);
        assert_eq!(asked("Between 3, 500 or so and words"), None);
    }

    #[test]
    fn options_and_scripts_are_counted() {
        let (_, counts) = seen("Which?\nA. one\nB. two\nC. three\nD. four\nAnswer:");
        assert!(counts[11] > 0.4 && counts[13] > 0.9);
        let (_, counts) = seen("目前最通用的楷书印刷体是");
        assert!(counts[9] > 0.9);
    }
}
