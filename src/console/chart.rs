//! Charts: stacked bars, drawn by the server. The same numbers stand in a table under each.

use maud::{Markup, html};

/// A stretch of time, and what it holds of each kind, in the order of the legend.
#[derive(Debug, Clone)]
pub struct Bar {
    pub name: String,
    pub parts: Vec<i64>,
}

const WIDTH: i64 = 720;
const HEIGHT: i64 = 180;
const LEFT: i64 = 64;
const BOTTOM: i64 = 22;
const TOP: i64 = 22;

/// The first round number that is not below `most`.
fn ceiling(most: i64) -> i64 {
    let mut unit: i64 = 1;
    while unit.saturating_mul(10) <= most {
        unit = unit.saturating_mul(10);
    }
    [1, 2, 5, 10]
        .into_iter()
        .map(|step| unit.saturating_mul(step))
        .find(|n| *n >= most)
        .unwrap_or(most)
}

/// Bars side by side. `written` says how an amount is written, `what` what is shown.
#[must_use]
pub fn bars(
    what: &str,
    legend: &[String],
    bars: &[Bar],
    written: impl Fn(i64) -> String,
) -> Markup {
    let most = bars.iter().map(|bar| bar.parts.iter().sum::<i64>()).max().unwrap_or(0).max(1);
    let top = ceiling(most);
    let (inner_width, inner_height) = (WIDTH - LEFT - 4, HEIGHT - BOTTOM - TOP);
    let across = |at: usize| {
        let at = i64::try_from(at).unwrap_or(0);
        LEFT + at * inner_width / i64::try_from(bars.len().max(1)).unwrap_or(1)
    };
    let height = |amount: i64| {
        i64::try_from(i128::from(amount) * i128::from(inner_height) / i128::from(top)).unwrap_or(0)
    };
    let every = bars.len().div_ceil(8).max(1);
    html! {
        figure class="chart" {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(what) {
                @for quarter in [0, 1, 2] {
                    @let amount = top / 2 * quarter;
                    @let y = HEIGHT - BOTTOM - height(amount);
                    line class="grid" x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
                    text class="axis end" x=(LEFT - 6) y=(y + 4) { (written(amount)) }
                }
                @for (at, bar) in bars.iter().enumerate() {
                    @let (x, next) = (across(at), across(at + 1));
                    @let wide = (next - x - (next - x) / 5).max(1);
                    g {
                        title { (bar.name) ": " (written(bar.parts.iter().sum())) }
                        @for (kind, (from, amount)) in stacked(&bar.parts).into_iter().enumerate() {
                            @let tall = height(from + amount) - height(from);
                            @if amount > 0 {
                                rect class=(format!("s{}", kind % 6)) x=(x) width=(wide)
                                    y=(HEIGHT - BOTTOM - height(from) - tall.max(1)) height=(tall.max(1)) {}
                            }
                        }
                    }
                    @if at % every == 0 {
                        text class=(if (at / every).is_multiple_of(2) { "axis" } else { "axis odd" }) x=(x) y=(HEIGHT - 6) { (bar.name.get(5..).unwrap_or(&bar.name)) }
                    }
                }
            }
            @if legend.len() > 1 {
                figcaption {
                    @for (kind, name) in legend.iter().enumerate() {
                        span class="key" {
                            svg class="dot" viewBox="0 0 10 10" aria-hidden="true" {
                                rect class=(format!("s{}", kind % 6)) width="10" height="10" {}
                            }
                            (name)
                        }
                    }
                }
            }
        }
    }
}

/// Each part, and where it begins.
fn stacked(parts: &[i64]) -> Vec<(i64, i64)> {
    let mut from = 0;
    parts
        .iter()
        .map(|part| {
            let at = from;
            from += part;
            (at, *part)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_reach_a_round_number_and_escape_their_names() {
        assert_eq!([0, 1, 7, 12, 50, 51].map(ceiling), [1, 1, 10, 20, 50, 100]);
        assert_eq!(stacked(&[2, 3, 4]), [(0, 2), (2, 3), (5, 4)]);
        let bar = Bar { name: "2026-<b>".to_owned(), parts: vec![5, 0, 5] };
        let drawn = bars("x", &["a".into(), "b".into()], &[bar], |n| n.to_string()).into_string();
        assert!(!drawn.contains("<b>"));
        assert_eq!(drawn.matches("<rect class=\"s0\" x").count(), 1);
        assert!(!bars("x", &[], &[], |n| n.to_string()).into_string().contains("<rect"));
    }
}
