//! From rows to weights.

use std::collections::BTreeMap;

use super::daily::Daily;
use super::data::{Data, Row};
use super::evidence::evidence;
use super::fit::{Layout, Recipe, TrainedNetwork, fit};
use super::levels::{level_by, level_by_tier, line_of};
use super::places;
use super::rate::{miss, rate};
use super::sample::{Sample, Target};
use crate::router::neural::{
    Ability, BUCKETS, Meta, ModelMeta, Net, NetShape, PAIRS, Places, Prompt, Signs, TraceKind,
    Usual, Vectors, Weights, dot, family, read, spot,
};

/// What a router is trained on.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    pub data: &'a Data,
    pub dailies: &'a [Daily],
    pub vectors: &'a Vectors,
}

/// The names of the domains, everyday use last, and the place of each row's.
fn domains(data: &Data, everyday: bool) -> (Vec<String>, Vec<usize>) {
    let of = |row: &Row| format!("{}/{}", data.sources[row.source], row.domain);
    let mut rows: BTreeMap<String, usize> = BTreeMap::new();
    for row in &data.rows {
        *rows.entry(of(row)).or_default() += 1;
    }
    // Where there are more than there is room for, the small ones of a source are one.
    let mut largest: Vec<(&String, &usize)> = rows.iter().collect();
    largest.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    let room = NetShape::DOMAINS - usize::from(everyday);
    let kept = if largest.len() <= room { room } else { room - data.sources.len().min(room) };
    let alone: Vec<&String> = largest.into_iter().take(kept).map(|(name, _)| name).collect();
    let mut names: Vec<String> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let each = data.rows.iter().map(|row| {
        let own = of(row);
        let name =
            if alone.contains(&&own) { own } else { format!("{}/*", data.sources[row.source]) };
        *places.entry(name.clone()).or_insert_with(|| {
            names.push(name);
            names.len() - 1
        })
    });
    let each = each.collect();
    if everyday {
        names.push(Meta::EVERYDAY.to_owned());
    }
    (names, each)
}

/// A prompt as the networks see it, of no domain yet.
fn sample(prompt: Prompt<'_>, vectors: &Vectors) -> Sample {
    let (mut buckets, mut signs) = (Vec::new(), Vec::new());
    let (mut pairs, mut words) = (Vec::new(), Vec::new());
    let reading = read(prompt, &mut |trace| {
        buckets.push(trace.bucket());
        signs.push(trace.sign());
        match trace.kind {
            TraceKind::Pair => pairs.push(trace.bit()),
            TraceKind::Word => words.push(trace.vector()),
            TraceKind::Stem | TraceKind::Mark => {}
        }
    });
    for places in [&mut pairs, &mut signs] {
        places.sort_unstable();
        places.dedup();
    }
    Sample {
        buckets,
        signs,
        pairs,
        counts: reading.counts,
        vector: vectors.of(&words),
        domain: 0,
        tell: 1.0,
        cells: Vec::new(),
    }
}

fn samples(material: Material<'_>, domains: &[usize], recipe: &Recipe) -> Vec<Sample> {
    let rows = material.data.rows.iter().zip(domains).map(|(row, domain)| {
        let cells = row.cells.iter().map(|cell| Target {
            model: cell.model,
            score: cell.score,
            log_tokens: cell.tokens_out.map(|tokens| tokens.max(1.0).ln()),
        });
        let seen = sample(Prompt::new(&row.prompt), material.vectors);
        Sample { domain: *domain, cells: cells.collect(), ..seen }
    });
    let everyday = domains.iter().max().map_or(0, |last| last + 1);
    let daily = material.dailies.iter().map(|daily| Sample {
        domain: everyday,
        tell: recipe.tell_everyday,
        ..daily.seen(|prompt| sample(prompt, material.vectors))
    });
    rows.chain(daily).collect()
}

/// Trains a router.
#[must_use]
pub fn train(material: Material<'_>, recipe: &Recipe, id: &str, seed: u64) -> Weights {
    let data = material.data;
    let (names, domains) = domains(data, !material.dailies.is_empty());
    let samples = samples(material, &domains, recipe);
    let mut families: Vec<String> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let family_of: Vec<usize> = data
        .models
        .iter()
        .map(|name| {
            let family = family(name);
            *places.entry(family.clone()).or_insert_with(|| {
                families.push(family);
                families.len() - 1
            })
        })
        .collect();
    let layout =
        Layout { domains: names.len(), models: data.models.len(), families: families.len() };
    // Each network on a thread of its own: none sees another's draws.
    let fitted: Vec<TrainedNetwork> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..NetShape::NETS as u64)
            .map(|number| {
                let (samples, family_of) = (&samples, &family_of);
                scope.spawn(move || {
                    fit(samples, layout, family_of, recipe, seed.wrapping_mul(1000) + number)
                })
            })
            .collect();
        // A network that panicked is no network less: the whole training has failed.
        let whole = |panic| std::panic::resume_unwind(panic);
        running.into_iter().map(|one| one.join().unwrap_or_else(whole)).collect()
    });
    let mut seen = vec![0_u64; data.models.len()];
    for cell in data.rows.iter().flat_map(|row| &row.cells) {
        seen[cell.model] += 1;
    }
    let mut weights = assemble(data, &fitted, &families, &family_of, &seen, id, seed);
    weights.vectors.clone_from(&material.vectors.0);
    weights.meta.domains = names;
    weights.meta.usual = usual(&weights, data);
    // From here on the unfamiliar is treated as such.
    weights.familiar = familiar(&samples);
    weights.places = places::places(&samples[..data.rows.len()]);
    let evidence = evidence(data, &samples, seed);
    weights.signs = evidence.signs;
    for (ability, model) in weights.abilities.iter_mut().zip(&weights.meta.models) {
        // Families come after the models, and have none.
        let place = data.models.iter().position(|name| *name == model.name);
        let side = place.and_then(|place| evidence.models.get(place));
        ability.signs = side.cloned().unwrap_or_default().into();
    }
    let dailies: Vec<&Daily> = material.dailies.iter().collect();
    weights.everyday = rate(&dailies, material.vectors, seed);
    weights.everyday.spread = miss(&dailies, material.vectors, seed);
    weights
}

/// What the prompts of training are like to a router that holds nothing of them yet.
fn usual(weights: &Weights, data: &Data) -> Usual {
    let count = data.rows.len().max(1);
    let (mut ease, mut length) = (0.0_f64, 0.0_f64);
    let mut far: [Vec<f32>; NetShape::NETS] = Default::default();
    for row in &data.rows {
        let heard = weights.heard(Prompt::new(&row.prompt));
        ease += f64::from(heard.ease);
        length += f64::from(heard.length);
        for (far, words) in far.iter_mut().zip(heard.embedding.chunks_exact(NetShape::EMBED)) {
            far.push(dot(words, words).sqrt());
        }
    }
    let reach = far.map(|mut far| {
        far.sort_by(f32::total_cmp);
        far.get(far.len() * 99 / 100).copied().unwrap_or(f32::MAX)
    });
    Usual { ease: (ease / count as f64) as f32, length: (length / count as f64) as f32, reach }
}

/// The pairs of words of more than one prompt.
fn familiar(samples: &[Sample]) -> Vec<u64> {
    let (mut once, mut again) = (vec![0_u64; PAIRS / 64], vec![0_u64; PAIRS / 64]);
    for pair in samples.iter().flat_map(|sample| &sample.pairs) {
        let (word, bit) = spot(*pair);
        again[word] |= once[word] & bit;
        once[word] |= bit;
    }
    again
}

fn ability(fitted: &[TrainedNetwork], family: usize, model: Option<usize>) -> Ability {
    let part = 1.0 / fitted.len() as f32;
    let mut domains = vec![0.0; NetShape::DOMAINS];
    let (mut level, mut verbosity, mut skills) = (0.0, 0.0, Vec::new());
    for TrainedNetwork { layout: at, numbers, .. } in fitted {
        let rank = NetShape::RANK;
        let base = &numbers[at.family() + family * (1 + rank)..][..=rank];
        let own = model.map(|model| &numbers[at.own() + model * (1 + rank)..][..=rank]);
        let sum = |place: usize| base[place] + own.map_or(0.0, |own| own[place]);
        level += sum(0) * part;
        skills.extend((1..=rank).map(|place| sum(place) * part));
        if let Some(model) = model {
            verbosity += numbers[at.verbosity() + model] * part;
            let biases = &numbers[at.bias() + model * at.domains..][..at.domains];
            for (sum, bias) in domains.iter_mut().zip(biases) {
                *sum += bias * part;
            }
        }
    }
    if model.is_none() {
        domains.clear();
    }
    Ability {
        level,
        skills: skills.into(),
        verbosity,
        domains: domains.into(),
        signs: Box::default(),
    }
}

fn assemble(
    data: &Data,
    fitted: &[TrainedNetwork],
    families: &[String],
    family_of: &[usize],
    seen: &[u64],
    id: &str,
    seed: u64,
) -> Weights {
    let mut abilities = Vec::new();
    let mut models = Vec::new();
    for (model, name) in data.models.iter().enumerate().filter(|(model, _)| seen[*model] > 0) {
        abilities.push(ability(fitted, family_of[model], Some(model)));
        models.push(ModelMeta { name: name.clone(), rows: seen[model] });
    }
    let known = abilities.len();
    for (family, name) in families.iter().enumerate() {
        let rows = (0..data.models.len()).filter(|model| family_of[*model] == family);
        let rows = rows.map(|model| seen[model]).sum();
        if rows > 0 {
            abilities.push(ability(fitted, family, None));
            models.push(ModelMeta { name: format!("family:{name}"), rows });
        }
    }
    let unknown = line_of(&abilities[..known]);
    let mut meta = Meta::new(id.to_owned(), seed, data.sources.clone(), models);
    meta.level_by_tier = level_by_tier(data, &abilities[..known], &meta.models[..known]);
    meta.level_by = level_by(data, &abilities[..known], &meta.models[..known]);
    let (mut table, mut steps) = (vec![0_u8; BUCKETS * NetShape::WIDE], [0.0; NetShape::NETS]);
    let mut nets = Vec::new();
    for (number, TrainedNetwork { layout: at, table: words, numbers }) in fitted.iter().enumerate()
    {
        let square = words.iter().map(|one| one * one).sum::<f32>() / words.len() as f32;
        // The few words farther out than this are pulled in.
        let step = square.sqrt() * 6.0 / 127.0;
        steps[number] = step;
        for bucket in 0..BUCKETS {
            for place in 0..NetShape::EMBED {
                let one = words[bucket * NetShape::EMBED + place] / step;
                table[bucket * NetShape::WIDE + number * NetShape::EMBED + place] =
                    (one.round().clamp(-127.0, 127.0) as i8).cast_unsigned();
            }
        }
        // Rows become columns.
        let turned = |from: usize, rows: usize, columns: usize| -> Vec<f32> {
            let places = (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column)));
            places.map(|(row, column)| numbers[from + row * columns + column]).collect()
        };
        let part = |from: usize, count: usize| numbers[from..from + count].to_vec();
        nets.push(Net {
            first: turned(0, NetShape::HIDDEN, NetShape::INPUT),
            first_bias: part(Layout::FIRST_BIAS, NetShape::HIDDEN),
            second: turned(Layout::SECOND, NetShape::HEADS, NetShape::HIDDEN),
            second_bias: part(at.second_bias(), NetShape::HEADS),
            skip: turned(at.skip(), NetShape::HEADS, NetShape::INPUT),
            tell: widened(
                &turned(
                    Layout::SECOND + NetShape::HEADS * NetShape::HIDDEN,
                    at.domains,
                    NetShape::HIDDEN,
                ),
                at.domains,
            ),
            tell_bias: widened(&part(at.second_bias() + NetShape::HEADS, at.domains), at.domains),
        });
    }
    Weights {
        meta,
        table: table.into(),
        steps,
        vectors: Vectors::empty().0,
        nets,
        abilities,
        unknown,
        familiar: Vec::new(),
        places: Places::default(),
        everyday: rate(&[], &Vectors::empty(), seed),
        signs: Signs::default(),
    }
}

/// Rows of `count` numbers as rows of as many as there may be.
fn widened(rows: &[f32], count: usize) -> Vec<f32> {
    let wide = |row: &[f32]| {
        let mut row = row.to_vec();
        row.resize(NetShape::DOMAINS, 0.0);
        row
    };
    rows.chunks_exact(count).flat_map(wide).collect()
}
