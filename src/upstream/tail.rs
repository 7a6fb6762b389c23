//! How often something was how large of late: the last hundred or so of it, and what few of them
//! exceed.

use std::time::Duration;

/// So many are remembered, and fewer than so many tell nothing.
const REMEMBERED: usize = 128;
const ENOUGH: usize = 20;
/// What is this much slower than nineteen in twenty is late.
const LATE: f32 = 1.5;
/// A wait so short is not worth a second request, however fast the others were.
const SHORTEST: Duration = Duration::from_millis(200);

/// The newest of many measurements.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    /// Grows as they come: most deployments are never asked.
    last: Vec<f32>,
    next: usize,
}

impl Tail {
    pub fn observe(&mut self, measured: f32) {
        if self.last.len() < REMEMBERED {
            self.last.push(measured);
        } else if let Some(oldest) = self.last.get_mut(self.next) {
            *oldest = measured;
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// What a share of them, from 0 to 1, does not exceed; `None` where too few are known.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f32> {
        if self.last.len() < ENOUGH {
            return None;
        }
        let mut all = [0.0; REMEMBERED];
        let all = all.get_mut(..self.last.len())?;
        all.copy_from_slice(&self.last);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place among some hundred"
        )]
        let place = (share.clamp(0.0, 1.0) * (all.len() - 1) as f64).round() as usize;
        let (_, found, _) = all.select_nth_unstable_by(place, f32::total_cmp);
        Some(*found)
    }

    /// After how many seconds it takes longer than it nearly ever does.
    #[must_use]
    pub fn late(&self) -> Option<Duration> {
        let late = Duration::try_from_secs_f32(self.quantile(0.95)? * LATE).ok()?;
        Some(late.max(SHORTEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_newest() {
        let mut tail = Tail::default();
        for number in 0..20_u16 {
            assert_eq!(tail.quantile(0.5), None);
            tail.observe(f32::from(number));
        }
        assert_eq!((tail.quantile(0.0), tail.quantile(1.0)), (Some(0.0), Some(19.0)));
        assert_eq!(tail.late(), Some(Duration::from_secs_f32(18.0 * LATE)));
        for number in 0..1_000_u16 {
            tail.observe(f32::from(number));
        }
        assert_eq!((tail.quantile(0.0), tail.quantile(1.0)), (Some(872.0), Some(999.0)));
    }
}
