//! Where the domains lie among the counts of prompts, and how far prompts of one domain are apart.

use super::algebra::Cholesky;
use super::sample::Sample;
use crate::router::neural::{COUNTS, NetShape, Places};

/// Added to every spread: a count that is always the same in training says nothing when it is not.
const LEAST: f64 = 1e-3;

/// The square of a distance that nothing is at.
const NOWHERE: f32 = 1e9;

/// Centres of the domains, and what turns counts into spreads within them.
pub fn places(samples: &[Sample]) -> Places {
    let domains = samples.iter().map(|sample| sample.domain + 1).max().unwrap_or(0);
    let mut centres = vec![0.0_f64; domains * COUNTS];
    let mut rows = vec![0.0_f64; domains];
    for sample in samples {
        rows[sample.domain] += 1.0;
        for (sum, one) in centres[sample.domain * COUNTS..].iter_mut().zip(sample.counts) {
            *sum += f64::from(one);
        }
    }
    for (centre, count) in centres.chunks_exact_mut(COUNTS).zip(&rows) {
        for one in centre {
            *one /= count.max(1.0);
        }
    }
    let mut spread = vec![0.0_f64; COUNTS * COUNTS];
    let all = samples.len().max(1) as f64;
    for sample in samples {
        let centre = &centres[sample.domain * COUNTS..][..COUNTS];
        let off: Vec<f64> = sample
            .counts
            .iter()
            .zip(centre)
            .map(|(one, middle)| f64::from(*one) - middle)
            .collect();
        for (row, one) in off.iter().enumerate() {
            for (column, other) in off.iter().enumerate() {
                spread[row * COUNTS + column] += one * other / all;
            }
        }
    }
    for place in 0..COUNTS {
        spread[place * COUNTS + place] += LEAST;
    }
    let lower = Cholesky::of(spread, COUNTS);
    let narrow = |wide: Vec<f64>| wide.into_iter().map(|one| one as f32);
    // What each count adds to every spread.
    let turn = (0..COUNTS).flat_map(|count| {
        let mut alone = vec![0.0; COUNTS];
        alone[count] = 1.0;
        narrow(lower.forward(alone))
    });
    let mut places = Places {
        turn: turn.collect(),
        centres: vec![0.0; COUNTS * NetShape::DOMAINS],
        squares: vec![NOWHERE; NetShape::DOMAINS],
    };
    for (domain, centre) in centres.chunks_exact(COUNTS).enumerate().take(NetShape::DOMAINS) {
        let turned = lower.forward(centre.to_vec());
        places.squares[domain] = turned.iter().map(|one| one * one).sum::<f64>() as f32;
        for (count, one) in narrow(turned).enumerate() {
            places.centres[count * NetShape::DOMAINS + domain] = one;
        }
    }
    places
}
