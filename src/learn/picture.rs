//! Cost against quality, as an SVG picture.

use std::fmt::Write as _;

use super::judge::Point;
use super::report::Entry;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const EDGE: f64 = 56.0;

/// The curve of a router and the line of mixed single models, cost on a logarithmic axis.
#[must_use]
pub fn picture(entry: &Entry) -> String {
    let (curve, line) = (&entry.measures.curve, &entry.measures.line);
    let all = || curve.iter().chain(line);
    let range = |of: fn(&Point) -> f64| {
        let low = all().map(of).fold(f64::INFINITY, f64::min);
        let high = all().map(of).fold(f64::NEG_INFINITY, f64::max);
        if high > low { (low, high) } else { (low - 0.5, low + 0.5) }
    };
    let (left, right) = range(|point| point.0.max(1e-9).log10());
    let (bottom, top) = range(|point| point.1);
    let x =
        |cost: f64| EDGE + (cost.max(1e-9).log10() - left) / (right - left) * (WIDTH - 1.5 * EDGE);
    let y =
        |quality: f64| HEIGHT - EDGE - (quality - bottom) / (top - bottom) * (HEIGHT - 1.8 * EDGE);
    let path = |points: &[Point]| {
        points
            .iter()
            .map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let title = entry.domain.as_ref().unwrap_or(&entry.source);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{EDGE}\" y=\"22\" font-size=\"15\">{}</text>\n",
        escaped(title),
    );
    for step in 0..=4 {
        let quality = bottom + (top - bottom) * f64::from(step) / 4.0;
        let cost = 10_f64.powf(left + (right - left) * f64::from(step) / 4.0);
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            out,
            "<line x1=\"{EDGE}\" x2=\"{}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#ddd\"/>\
             <text x=\"8\" y=\"{2:.1}\">{3:.1}%</text><text x=\"{4:.1}\" y=\"{5}\" text-anchor=\"middle\">${6:.6}</text>",
            WIDTH - 0.5 * EDGE,
            y(quality),
            y(quality) + 4.0,
            quality * 100.0,
            x(cost),
            HEIGHT - EDGE + 20.0,
            cost,
        );
    }
    for point in line {
        let (x, y) = (x(point.0), y(point.1));
        let _infallible =
            write!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"#888\"/>");
    }
    let _infallible = write!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#888\" stroke-dasharray=\"5 4\"/>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#0a6cd6\" stroke-width=\"2\"/>\n\
         <text x=\"{EDGE}\" y=\"{}\">USD a prompt; blue: the router; grey: single models, mixed at random</text>\n</svg>\n",
        path(line),
        path(curve),
        HEIGHT - 12.0,
    );
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
