//! What a router is worth on prompts whose scores are known: the measures of `RouteLLM` for a strong
//! and a weak model (arXiv 2406.18665), and of `RouterBench` for many (arXiv 2403.12031).

use serde::Serialize;

use super::data::{Cell, Data, Row};

/// A pool of models and the prompts that all of them answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Names of the models, cheapest first.
    pub models: Vec<String>,
    /// By prompt, then by model: measured, predicted, and what each call cost and was expected to.
    pub score: Vec<Vec<f64>>,
    pub quality: Vec<Vec<f64>>,
    pub cost: Vec<Vec<f64>>,
    pub expected: Vec<Vec<f64>>,
}

/// A point of a curve: USD a prompt, and the share of good answers.
pub type Point = (f64, f64);

/// The measures of one pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measures {
    pub prompts: usize,
    pub models: usize,
    pub best: f64,
    pub oracle: f64,
    /// Mean performance gap recovered between the best and the cheapest model; 0.5 is chance.
    pub apgr: f64,
    /// Of the best single model's cost, what is saved at 95, 98 and 100% of its accuracy.
    pub savings: [f64; 3],
    /// The same of mixing single models at random.
    pub mixed: [f64; 3],
    /// Mean quality above the line of mixed single models, over log cost.
    pub above: f64,
    /// The same of the best that mixing points of the curve reaches.
    pub hull_above: f64,
    /// The same where what each model is worth on the pool is known, and only what changes from
    /// prompt to prompt is predicted.
    pub levelled_above: f64,
    /// Of the differences between models that change from prompt to prompt, the share of the
    /// variance that is predicted. Below 0, predicting none would be better.
    pub explained: f64,
    pub calibration: f64,
    /// What the promise of a floor came to, at 65, 79 and 98%: of the best single model's measured
    /// quality, the share that is kept where each prompt goes to the cheapest model above the floor.
    pub kept: [f64; 3],
    pub curve: Vec<Point>,
    pub line: Vec<Point>,
}

/// Shares of the best predicted quality that are not gone below: those of `auto:cheap`, `auto` and
/// `auto:best`.
pub const FLOORS: [f64; 3] = [0.65, 0.79, 0.98];

/// Tokens of an answer whose length nobody wrote down.
const USUAL_TOKENS: f64 = 200.0;

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), one| (sum + one, count + 1.0));
    if count == 0.0 { 0.0 } else { sum / count }
}

impl Pool {
    /// The models that have a price and a score on nearly all of the rows, on those rows that have
    /// all of them. Beside each row stands what is predicted of every model.
    #[must_use]
    pub fn of(data: &Data, rows: &[(&Row, &[f64])]) -> Option<Self> {
        let mut seen = vec![0_usize; data.models.len()];
        let mut words = vec![(0.0, 0.0); data.models.len()];
        for cell in rows.iter().flat_map(|(row, _)| &row.cells) {
            seen[cell.model] += 1;
            if let Some(tokens) = cell.tokens_out {
                words[cell.model].0 += f64::from(tokens);
                words[cell.model].1 += 1.0;
            }
        }
        let price = |model: usize| {
            let listed = data.prices.get(&data.models[model])?;
            Some((listed.price_in?, listed.price_out?))
        };
        let mut models: Vec<usize> = (0..data.models.len())
            .filter(|model| seen[*model] * 10 > rows.len() * 9)
            .filter(|model| price(*model).is_some())
            .collect();
        let usual = |model: usize| {
            let (sum, count) = words[model];
            if count > 0.0 { sum / count } else { USUAL_TOKENS }
        };
        let cost = |row: &Row, model: usize, out: f64| {
            let (price_in, price_out) = price(model).unwrap_or_default();
            (price_in * f64::from(row.tokens_in) + price_out * out) / 1e6
        };
        let rows: Vec<&(&Row, &[f64])> = rows
            .iter()
            .filter(|(row, _)| {
                models.iter().all(|one| row.cells.iter().any(|cell| cell.model == *one))
            })
            .collect();
        if models.len() < 2 || rows.is_empty() {
            return None;
        }
        let dear = |model: usize| mean(rows.iter().map(|(row, _)| cost(row, model, usual(model))));
        models.sort_by(|one, other| dear(*one).total_cmp(&dear(*other)).then(one.cmp(other)));
        let mut pool = Self {
            models: models.iter().map(|model| data.models[*model].clone()).collect(),
            score: Vec::new(),
            quality: Vec::new(),
            cost: Vec::new(),
            expected: Vec::new(),
        };
        for (row, quality) in rows {
            let cells: Vec<_> = models
                .iter()
                .filter_map(|model| row.cells.iter().find(|cell| cell.model == *model))
                .collect();
            pool.score.push(cells.iter().map(|cell| f64::from(cell.score)).collect());
            pool.quality.push(models.iter().map(|model| quality[*model]).collect());
            let known = |cell: &&Cell| {
                let out = cell.tokens_out.map_or_else(|| usual(cell.model), f64::from);
                cell.cost_usd.unwrap_or_else(|| cost(row, cell.model, out))
            };
            pool.cost.push(cells.iter().map(known).collect());
            pool.expected
                .push(models.iter().map(|model| cost(row, *model, usual(*model))).collect());
        }
        Some(pool)
    }

    fn single(&self, model: usize) -> Point {
        (
            mean(self.cost.iter().map(|row| row[model])),
            mean(self.score.iter().map(|row| row[model])),
        )
    }

    fn mixed(&self, pick: impl Fn(usize) -> usize) -> Point {
        let chosen: Vec<usize> = (0..self.score.len()).map(pick).collect();
        (
            mean(chosen.iter().enumerate().map(|(row, model)| self.cost[row][*model])),
            mean(chosen.iter().enumerate().map(|(row, model)| self.score[row][*model])),
        )
    }

    /// What each price of quality comes to, cheapest first.
    fn sweep(&self) -> Vec<Point> {
        let middle = mean(self.expected.iter().flatten().copied());
        let mut points: Vec<Point> = (0..400)
            .map(|step| {
                // Quality that a dollar must buy, over ten powers of ten around what calls cost.
                let dollar = if step == 0 {
                    0.0
                } else {
                    10_f64.powf(f64::from(step) / 40.0 - 6.0) / middle.max(1e-12)
                };
                self.mixed(|row| {
                    let worth = |model: usize| {
                        self.quality[row][model] - dollar * self.expected[row][model]
                    };
                    (0..self.models.len())
                        .max_by(|one, other| {
                            worth(*one).total_cmp(&worth(*other)).then(other.cmp(one))
                        })
                        .unwrap_or(0)
                })
            })
            .collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
        points.dedup();
        points
    }

    /// The measured quality where each prompt goes to the cheapest model that is predicted to reach
    /// `floor` of the best predicted.
    fn at_floor(&self, floor: f64) -> f64 {
        self.mixed(|row| self.above(row, floor)).1
    }

    /// The cheapest model that is predicted to reach `floor` of the best predicted on a prompt.
    #[must_use]
    pub fn above(&self, row: usize, floor: f64) -> usize {
        let quality = &self.quality[row];
        let least = floor * quality.iter().copied().fold(0.0, f64::max);
        (0..self.models.len())
            .filter(|model| quality[*model] >= least)
            .min_by(|one, other| self.expected[row][*one].total_cmp(&self.expected[row][*other]))
            .unwrap_or(0)
    }

    /// The best single model, by what was measured; of equals the cheapest.
    #[must_use]
    pub fn best(&self) -> usize {
        (0..self.models.len())
            .max_by(|one, other| {
                self.single(*one).1.total_cmp(&self.single(*other).1).then(other.cmp(one))
            })
            .unwrap_or(0)
    }

    fn gap(&self, strong: usize, weak: usize) -> f64 {
        let mut order: Vec<usize> = (0..self.score.len()).collect();
        let wish = |row: usize| self.quality[row][strong] - self.quality[row][weak];
        order.sort_by(|one, other| wish(*other).total_cmp(&wish(*one)));
        let (low, high) = (self.single(weak).1, self.single(strong).1);
        if high <= low {
            return f64::NAN;
        }
        let count = self.score.len() as f64;
        let (mut sum, mut recovered) = (0.0, 0.0);
        for row in order {
            recovered += (self.score[row][strong] - self.score[row][weak]) / count;
            sum += recovered / (high - low);
        }
        sum / count
    }

    /// With predictions moved, in log-odds, so that each model's mean is the measured one.
    fn levelled(&self) -> Self {
        let odds = |chance: f64| {
            let chance = chance.clamp(0.005, 0.995);
            (chance / (1.0 - chance)).ln()
        };
        let off: Vec<f64> = (0..self.models.len())
            .map(|model| {
                let measured = mean(self.score.iter().map(|row| row[model]));
                odds(measured) - mean(self.quality.iter().map(|row| odds(row[model])))
            })
            .collect();
        let moved = |row: &Vec<f64>| {
            let each = row.iter().zip(&off);
            each.map(|(one, off)| 1.0 / (1.0 + (-odds(*one) - off).exp())).collect()
        };
        Self { quality: self.quality.iter().map(moved).collect(), ..self.clone() }
    }

    /// Scores and predictions without what holds of a prompt for all models, and of a model for all
    /// prompts: how much of the former the latter explain.
    fn explained(&self) -> f64 {
        let bare = |table: &[Vec<f64>]| -> Vec<f64> {
            let models = self.models.len();
            let all = mean(table.iter().flatten().copied());
            let columns: Vec<f64> =
                (0..models).map(|model| mean(table.iter().map(|row| row[model]))).collect();
            let rows = table.iter().map(|row| (row, mean(row.iter().copied())));
            rows.flat_map(|(row, middle)| {
                row.iter().zip(&columns).map(move |(one, column)| one - column - middle + all)
            })
            .collect()
        };
        let (score, quality) = (bare(&self.score), bare(&self.quality));
        let left: f64 = score.iter().zip(&quality).map(|(one, other)| (one - other).powi(2)).sum();
        let all: f64 = score.iter().map(|one| one * one).sum();
        1.0 - left / all.max(1e-9)
    }

    /// Expected calibration error: how far predicted shares are from measured ones, in ten bins.
    fn calibration(&self) -> f64 {
        let mut bins = [(0.0, 0.0, 0.0); 10];
        let pairs = self.quality.iter().flatten().zip(self.score.iter().flatten());
        for (quality, score) in pairs {
            let bin = &mut bins[((quality * 10.0) as usize).min(9)];
            bin.0 += quality;
            bin.1 += score;
            bin.2 += 1.0;
        }
        let all: f64 = bins.iter().map(|bin| bin.2).sum();
        bins.iter().map(|bin| (bin.0 - bin.1).abs()).sum::<f64>() / all.max(1.0)
    }
}

/// The upper left of points: what mixing them at random reaches.
fn hull(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|one, other| one.0.total_cmp(&other.0).then(other.1.total_cmp(&one.1)));
    let mut hull: Vec<Point> = Vec::new();
    for point in points {
        if hull.last().is_some_and(|last| point.1 <= last.1) {
            continue;
        }
        while let [.., before, last] = hull.as_slice() {
            let rises = (last.1 - before.1) * (point.0 - before.0);
            if rises > (point.1 - before.1) * (last.0 - before.0) {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    hull
}

/// The quality that a curve has at a cost, straight between its points.
fn at(curve: &[Point], cost: f64) -> f64 {
    let after = curve.partition_point(|point| point.0 <= cost);
    match (after.checked_sub(1).and_then(|place| curve.get(place)), curve.get(after)) {
        (Some(before), Some(next)) if next.0 > before.0 => {
            before.1 + (next.1 - before.1) * (cost - before.0) / (next.0 - before.0)
        }
        (Some(before), _) => before.1,
        (None, next) => next.map_or(0.0, |next| next.1),
    }
}

/// The least cost at which a curve has a quality.
fn least(curve: &[Point], quality: f64) -> f64 {
    let mut before: Option<&Point> = None;
    for point in curve {
        if point.1 >= quality - 1e-9 {
            return match before {
                Some(before) if point.1 > before.1 => {
                    let share = (quality - before.1) / (point.1 - before.1);
                    before.0 + (point.0 - before.0) * share.clamp(0.0, 1.0)
                }
                _ => point.0,
            };
        }
        before = Some(point);
    }
    f64::INFINITY
}

/// Measures a pool.
#[must_use]
pub fn judge(pool: &Pool) -> Measures {
    let singles: Vec<Point> = (0..pool.models.len()).map(|model| pool.single(model)).collect();
    let strong = (0..singles.len())
        .max_by(|one, other| singles[*one].1.total_cmp(&singles[*other].1).then(other.cmp(one)))
        .unwrap_or(0);
    let best = singles[strong];
    let line = hull(singles.clone());
    let curve = pool.sweep();
    let targets = [0.95, 0.98, 1.0].map(|share| share * best.1);
    let saved = |curve: &[Point]| {
        targets.map(|target| {
            let cost = least(curve, target);
            // Whoever asks for the best can always have it at its price.
            (1.0 - cost / best.0).max(0.0)
        })
    };
    let dearest = singles.iter().map(|single| single.0).fold(0.0, f64::max);
    let cheapest = singles.iter().map(|single| single.0).fold(f64::INFINITY, f64::min);
    let steps = 200;
    let over = |curve: &[Point]| {
        mean((0..=steps).map(|step| {
            let share = f64::from(step) / f64::from(steps);
            let cost = (cheapest.ln() + share * (dearest.ln() - cheapest.ln())).exp();
            at(curve, cost) - at(&line, cost)
        }))
    };
    Measures {
        prompts: pool.score.len(),
        models: pool.models.len(),
        best: best.1,
        oracle: mean(pool.score.iter().map(|row| row.iter().copied().fold(0.0, f64::max))),
        apgr: pool.gap(strong, 0),
        savings: saved(&curve),
        mixed: saved(&line),
        above: over(&curve),
        hull_above: over(&hull(curve.clone())),
        levelled_above: over(&hull(pool.levelled().sweep())),
        explained: pool.explained(),
        calibration: pool.calibration(),
        kept: FLOORS.map(|floor| pool.at_floor(floor) / best.1.max(1e-9)),
        curve,
        line,
    }
}
