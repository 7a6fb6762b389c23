//! What an account has to spend in a period: pure.

use crate::base::calendar::Period;
use crate::base::money::Credits;
use crate::store::Balance;

/// A period's credits, by where they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Funds {
    /// The plan's. `None` = as much as it takes.
    pub allowance: Option<Credits>,
    /// Left of what was granted before: granted credits stay until they are used.
    pub carried: Credits,
    pub granted: Credits,
    pub used: Credits,
}

impl Funds {
    /// Of an account's periods, oldest first. `allowance` is what the plan gives, should the period
    /// not be open yet.
    #[must_use]
    pub fn of(balances: &[Balance], period: Period, allowance: Option<Credits>) -> Self {
        let mut carried = Credits(0);
        for balance in balances.iter().filter(|balance| balance.period < period) {
            // Below nothing where more was taken back in a period than was given in it.
            let extra = carried.plus(balance.granted);
            // A plan's own credits go first.
            let over = match balance.allowance {
                Some(allowance) => balance.used.minus(allowance).max(Credits(0)),
                None => Credits(0),
            };
            carried = extra.minus(over).max(Credits(0));
        }
        let nothing = Credits(0);
        balances.iter().find(|balance| balance.period == period).map_or(
            Self { allowance, carried, granted: nothing, used: nothing },
            |open| Self {
                allowance: open.allowance,
                carried,
                granted: open.granted,
                used: open.used,
            },
        )
    }

    /// What may be used in the period. `None` = as much as it takes.
    #[must_use]
    pub fn total(&self) -> Option<Credits> {
        self.allowance.map(|allowance| allowance.plus(self.carried).plus(self.granted))
    }

    /// What is left of all that was granted. A plan's own credits go first.
    #[must_use]
    pub fn left_of_grants(&self) -> Credits {
        let granted = self.carried.plus(self.granted);
        let over = match self.allowance {
            Some(allowance) => self.used.minus(allowance).max(Credits(0)),
            None => Credits(0),
        };
        granted.minus(over).max(Credits(0))
    }

    #[must_use]
    pub fn remaining(&self) -> Option<Credits> {
        self.total().map(|total| total.minus(self.used).max(Credits(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::money::Nanos;

    fn balance(period: i64, allowance: Option<i64>, granted: i64, used: i64) -> Balance {
        Balance {
            period: Period(period),
            allowance: allowance.map(Credits),
            granted: Credits(granted),
            used: Credits(used),
            cost: Nanos(0),
        }
    }

    #[test]
    fn an_allowance_ends_with_its_period_and_a_grant_does_not() {
        let periods = [
            balance(202_601, Some(500), 100, 560),
            balance(202_602, Some(500), 0, 200),
            balance(202_603, Some(500), 10, 20),
        ];
        let march = Funds::of(&periods, Period(202_603), Some(Credits(1)));
        assert_eq!(march.carried, Credits(40));
        assert_eq!(march.total(), Some(Credits(550)));
        assert_eq!(march.remaining(), Some(Credits(530)));
        let april = Funds::of(&periods, Period(202_604), Some(Credits(500)));
        assert_eq!(april.total(), Some(Credits(550)));
        assert_eq!(april.used, Credits(0));
    }

    #[test]
    fn without_a_limit_nothing_is_taken_from_grants() {
        let periods = [balance(202_601, None, 100, 9_999)];
        let february = Funds::of(&periods, Period(202_602), Some(Credits(5)));
        assert_eq!(february.total(), Some(Credits(105)));
        assert_eq!(Funds::of(&periods, Period(202_601), Some(Credits(5))).total(), None);
    }

    #[test]
    fn what_was_used_beyond_everything_is_not_carried() {
        let periods = [balance(202_601, Some(10), 5, 17)];
        assert_eq!(Funds::of(&periods, Period(202_602), Some(Credits(10))).carried, Credits(0));
    }
}
