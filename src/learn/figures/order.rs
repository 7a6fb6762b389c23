//! Siblings in order: of one version, a maker's larger model is not worth less than its smaller one,
//! whatever a few noisy figures say.

use std::collections::BTreeMap;

use crate::router::levels::{Level, Name, round};

/// Words that rank siblings, the least first. The empty one is for a name without any of them.
const LADDERS: [&[&[&str]]; 6] = [
    &[&["nano"], &["mini"], &[], &["pro"]],
    &[&["haiku"], &["sonnet"], &["opus"]],
    &[&["flash", "lite"], &["flash"], &["pro"]],
    &[&["micro"], &["lite"], &["pro"]],
    &[&["flash"], &["plus"], &["max"]],
    &[&["luna"], &["terra"], &["sol"], &["astra"]],
];

/// What a step is worth at least, in log-odds.
const STEP: f64 = 0.1;

/// Where a name stands on a ladder, and what is left of it without.
fn place(name: &Name, ladder: &[&[&str]]) -> Option<(usize, Vec<String>)> {
    let ranked = |word: &String| ladder.iter().any(|rung| rung.contains(&word.as_str()));
    let own: Vec<&str> =
        name.words().iter().filter(|word| ranked(word)).map(String::as_str).collect();
    let rung = ladder
        .iter()
        .position(|rung| rung.len() == own.len() && rung.iter().all(|word| own.contains(word)))?;
    Some((rung, name.words().iter().filter(|word| !ranked(word)).cloned().collect()))
}

/// Steps that are not to fall: pools neighbours that are the wrong way round, each by its weight.
fn rising(steps: &[(f64, f64)]) -> Vec<f64> {
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (value, weight) in steps {
        pools.push((*value, *weight, 1));
        while let [.., (below, light, few), (above, heavy, many)] = pools.as_slice()
            && below > above
        {
            let weight = light + heavy;
            let value = (below * light + above * heavy) / weight;
            let count = few + many;
            pools.truncate(pools.len() - 2);
            pools.push((value, weight, count));
        }
    }
    pools.into_iter().flat_map(|(value, _, count)| std::iter::repeat_n(value, count)).collect()
}

/// Siblings by what they have in common: the rank of each, and its name.
type Groups<K> = BTreeMap<K, Vec<(usize, String)>>;

/// Puts the levels of siblings in order.
pub fn in_order(known: &mut BTreeMap<String, Level>) {
    let names: Vec<(String, Name)> =
        known.keys().map(|name| (name.clone(), Name::read(name))).collect();
    for ladder in LADDERS {
        let mut groups: Groups<(String, String, String, Vec<String>)> = Groups::new();
        for (id, name) in &names {
            let Some(version) = name.version() else { continue };
            if let Some((rung, left)) = place(name, ladder) {
                let size = name.size().map_or_else(String::new, |size| size.to_string());
                let key = (name.line().to_owned(), version.to_string(), size, left);
                groups.entry(key).or_default().push((rung, id.clone()));
            }
        }
        for group in groups.values() {
            order(group, known);
        }
    }
    // Of one name, by size.
    let mut groups: Groups<(String, String, Vec<String>)> = Groups::new();
    for (id, name) in &names {
        if let (Some(size), Some(version)) = (name.size(), name.version()) {
            let key = (name.line().to_owned(), version.to_string(), name.words().to_vec());
            groups.entry(key).or_default().push(((size * 10.0) as usize, id.clone()));
        }
    }
    for group in groups.values() {
        order(group, known);
    }
}

fn order(group: &[(usize, String)], known: &mut BTreeMap<String, Level>) {
    let mut group = group.to_vec();
    group.sort();
    let mut rungs: Vec<usize> = group.iter().map(|(rung, _)| *rung).collect();
    rungs.dedup();
    if rungs.len() < 2 {
        return;
    }
    // Several of one rung are one step, at their mean.
    let steps: Vec<(f64, f64)> = rungs
        .iter()
        .enumerate()
        .map(|(step, rung)| {
            let of = group.iter().filter(|(at, _)| at == rung);
            let (mut sum, mut weights) = (0.0, 0.0);
            for level in of.filter_map(|(_, id)| known.get(id)) {
                let weight = f64::from(level.sd).powi(-2);
                sum += weight * f64::from(level.level);
                weights += weight;
            }
            (sum / weights - STEP * step as f64, weights)
        })
        .collect();
    let ordered = rising(&steps);
    // Of several on one rung, none is below those of the rung before.
    let mut least = f32::MIN;
    for ((rung, (was, _)), now) in rungs.iter().zip(&steps).zip(&ordered) {
        let mut most = least;
        for (_, id) in group.iter().filter(|(at, _)| at == rung) {
            if let Some(level) = known.get_mut(id) {
                level.level = round(level.level + (now - was) as f32).max(least);
                most = most.max(level.level);
            }
        }
        least = most + STEP as f32 / 2.0;
    }
}

/// Pairs that stand the wrong way round, the smaller sibling first.
#[cfg(test)]
pub fn out_of_order(known: &BTreeMap<String, Level>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (small, low) in known {
        for (large, high) in known {
            let (one, other) = (Name::read(small), Name::read(large));
            let alike = one.line() == other.line()
                && one.version().is_some()
                && one.version() == other.version()
                && one.size() == other.size();
            let wrong = alike
                && LADDERS.iter().any(|ladder| {
                    match (place(&one, ladder), place(&other, ladder)) {
                        (Some((below, left)), Some((above, rest))) => below < above && left == rest,
                        _ => false,
                    }
                });
            if wrong && low.level > high.level {
                found.push((small.clone(), large.clone()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_is_pooled() {
        assert_eq!(rising(&[(1.0, 1.0), (0.0, 1.0), (2.0, 1.0)]), [0.5, 0.5, 2.0]);
        assert_eq!(rising(&[(3.0, 1.0), (2.0, 1.0), (1.0, 2.0)]), [1.75, 1.75, 1.75]);
    }
}
