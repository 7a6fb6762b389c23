//! A QR code as SVG: a link for the camera of a phone.

use std::fmt::Write as _;

use maud::{Markup, html};
use qrcodegen::{QrCode, QrCodeEcc};

/// Modules around it that stay light, as its standard wants.
const QUIET: i32 = 4;

/// The dark modules as rectangles of height 1, a path for them all.
fn path(code: &QrCode) -> String {
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let wide = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
            let wide = i32::try_from(wide).unwrap_or(0);
            if wide > 0 {
                // Writing to a String cannot fail.
                let _infallible = write!(path, "M{} {}h{wide}v1h-{wide}z", x + QUIET, y + QUIET);
            }
            x += wide.max(1);
        }
    }
    path
}

/// Nothing for what is too long for a code. `name` is what is said of it to whoever cannot see it.
#[must_use]
pub fn qr(text: &str, name: &str) -> Markup {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok();
    html! {
        @if let Some(code) = &code {
            @let side = code.size() + 2 * QUIET;
            svg class="qr" viewBox=(format!("0 0 {side} {side}")) role="img" aria-label=(name) {
                rect width=(side) height=(side) {}
                path d=(path(code)) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules that a path draws, as the browser fills them.
    fn drawn(svg: &str) -> Vec<(i32, i32)> {
        let path = svg.split("d=\"").nth(1).unwrap().split('"').next().unwrap();
        let spans = path.split('M').skip(1).map(|span| {
            let (at, wide) = span.split_once('h').unwrap();
            let (x, y) = at.split_once(' ').unwrap();
            let wide = wide.split('v').next().unwrap();
            (x.parse::<i32>().unwrap(), y.parse::<i32>().unwrap(), wide.parse::<i32>().unwrap())
        });
        spans.flat_map(|(x, y, wide)| (x..x + wide).map(move |x| (x - QUIET, y - QUIET))).collect()
    }

    #[test]
    fn every_dark_module_is_drawn_and_no_other() {
        let text =
            "otpauth://totp/Optimux:ann%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=Optimux";
        let svg = qr(text, "a code").into_string();
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).unwrap();
        let mut dark = Vec::new();
        for y in 0..code.size() {
            dark.extend((0..code.size()).filter(|x| code.get_module(*x, y)).map(|x| (x, y)));
        }
        assert_eq!(drawn(&svg), dark);
        // The three squares by which a camera finds it.
        assert!(
            [(0, 0), (code.size() - 1, 0), (0, code.size() - 1)]
                .iter()
                .all(|one| dark.contains(one))
        );
        assert!(svg.contains("role=\"img\" aria-label=\"a code\""), "{svg}");
        assert!(svg.len() < 12_000, "{}", svg.len());
    }

    #[test]
    fn what_is_too_long_is_left_out() {
        assert_eq!(qr(&"x".repeat(5_000), "a code").into_string(), "");
    }
}
