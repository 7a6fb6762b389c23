//! Which subject a benchmark is of, and where a model is better than its level says.

use std::collections::BTreeMap;

use super::factor::Factors;
use crate::router::levels::{Leaning, round};

/// How far a leaning is believed: which subjects a model is good at was not predicted by public
/// figures on data with scores.
const BELIEVED: f64 = 0.9;
/// Figures until a leaning is believed by half of that.
const HALF: f64 = 1.5;
const BOUND: f64 = 0.5;

/// Beginnings of benchmarks' names. The first that fits holds.
const SUBJECTS: [(&str, Leaning); 72] = [
    ("omniscience_software", Leaning::Code),
    ("omniscience", Leaning::Knowledge),
    ("swe_bench_multilingual", Leaning::Code),
    ("browsecomp_long", Leaning::Long),
    ("livebench_coding", Leaning::Code),
    ("livebench_agentic", Leaning::Code),
    ("livebench_math", Leaning::Maths),
    ("livebench_if", Leaning::Following),
    ("lmarena_coding", Leaning::Code),
    ("lmarena_math", Leaning::Maths),
    ("lmarena_if", Leaning::Following),
    ("lmarena_zh", Leaning::Languages),
    ("lmarena_vision", Leaning::Vision),
    ("lmarena", Leaning::Taste),
    ("arena", Leaning::Taste),
    ("chatbot_arena", Leaning::Taste),
    ("alpacaeval", Leaning::Taste),
    ("bullshit", Leaning::Taste),
    ("mathvis", Leaning::Vision),
    ("aime", Leaning::Maths),
    ("hmmt", Leaning::Maths),
    ("math", Leaning::Maths),
    ("brumo", Leaning::Maths),
    ("cmimc", Leaning::Maths),
    ("smt_", Leaning::Maths),
    ("usamo", Leaning::Maths),
    ("frontiermath", Leaning::Maths),
    ("imo_", Leaning::Maths),
    ("beyond_aime", Leaning::Maths),
    ("gsm8k", Leaning::Maths),
    ("swe", Leaning::Code),
    ("livecodebench", Leaning::Code),
    ("live_code", Leaning::Code),
    ("scicode", Leaning::Code),
    ("terminal_bench", Leaning::Code),
    ("humaneval", Leaning::Code),
    ("mbpp", Leaning::Code),
    ("aider", Leaning::Code),
    ("aa_coding", Leaning::Code),
    ("codeforces", Leaning::Code),
    ("webdev", Leaning::Code),
    ("deepswe", Leaning::Code),
    ("ojbench", Leaning::Code),
    ("multi_swe", Leaning::Code),
    ("artifactsbench", Leaning::Code),
    ("mmlu", Leaning::Knowledge),
    ("gpqa", Leaning::Knowledge),
    ("hle", Leaning::Knowledge),
    ("humanity", Leaning::Knowledge),
    ("simpleqa", Leaning::Knowledge),
    ("supergpqa", Leaning::Knowledge),
    ("triviaqa", Leaning::Knowledge),
    ("ifbench", Leaning::Following),
    ("ifeval", Leaning::Following),
    ("multichallenge", Leaning::Following),
    ("collie", Leaning::Following),
    ("internal_api_if", Leaning::Following),
    ("multi_if", Leaning::Following),
    ("tau", Leaning::Tools),
    ("bfcl", Leaning::Tools),
    ("mcp", Leaning::Tools),
    ("toolathlon", Leaning::Tools),
    ("aa_agentic", Leaning::Tools),
    ("aa_lcr", Leaning::Long),
    ("mrcr", Leaning::Long),
    ("graphwalks", Leaning::Long),
    ("longbench", Leaning::Long),
    ("mmmlu", Leaning::Languages),
    ("multilingual", Leaning::Languages),
    ("mgsm", Leaning::Languages),
    ("mmmu", Leaning::Vision),
    ("charxiv", Leaning::Vision),
];

/// What a benchmark is about, if about one thing.
#[must_use]
pub fn subject(benchmark: &str) -> Option<Leaning> {
    SUBJECTS.iter().find(|(start, _)| benchmark.starts_with(start)).map(|(_, subject)| *subject)
}

/// Where a model is better or worse than its factor says, in log-odds of a good answer; `slope` is
/// what a step of the factor adds.
#[must_use]
pub fn leanings(found: &Factors, row: usize, slope: f64) -> BTreeMap<Leaning, f32> {
    let mut sums: BTreeMap<Leaning, (f64, f64)> = BTreeMap::new();
    for cell in found.cells.iter().filter(|cell| cell.row == row) {
        if let Some(subject) = subject(&found.columns[cell.column]) {
            let (count, sum) = sums.entry(subject).or_default();
            *count += 1.0;
            *sum += found.rest(cell);
        }
    }
    let believed =
        |(count, sum): (f64, f64)| (BELIEVED * slope * sum / (count + HALF)).clamp(-BOUND, BOUND);
    let all = sums.into_iter().map(|(subject, sum)| (subject, round(believed(sum) as f32)));
    all.filter(|(_, by)| by.abs() >= 0.02).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benchmarks_have_subjects() {
        assert_eq!(subject("mathvista"), Some(Leaning::Vision));
        assert_eq!(subject("mmmlu"), Some(Leaning::Languages));
        assert_eq!(subject("mmmu_pro"), Some(Leaning::Vision));
        assert_eq!(subject("tau2_telecom"), Some(Leaning::Tools));
        assert_eq!(subject("critpt"), None);
    }
}
