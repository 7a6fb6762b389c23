//! What can be asked for.

use crate::admit::Caller;
use crate::catalogue::{Mode, Model, Tier};
use crate::gateway::App;
use crate::live::Live;
use crate::router::Dial;

/// A model as it is listed.
#[derive(Debug, Clone, Copy)]
pub enum ListedModel<'a> {
    Auto(Dial),
    Real(&'a Model),
}

impl ListedModel<'_> {
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Auto(Dial::BALANCED) => "auto",
            Self::Auto(dial) => dial.name(),
            Self::Real(model) => &model.id,
        }
    }

    #[must_use]
    pub fn owned_by(&self) -> &str {
        match self {
            Self::Auto(_) => "optimux",
            Self::Real(model) => &model.owned_by,
        }
    }

    #[must_use]
    pub fn tier(&self) -> Option<Tier> {
        match self {
            Self::Auto(_) => None,
            Self::Real(model) => Some(model.tier),
        }
    }

    #[must_use]
    pub fn description(&self) -> Option<&'static str> {
        match self {
            Self::Auto(Dial::BALANCED) => Some("Neural Router - automatic model selection"),
            Self::Auto(Dial::CHEAP) => Some("Neural Router - the cheapest model that may do"),
            Self::Auto(_) => Some("Neural Router - the best model, whatever it costs"),
            Self::Real(_) => None,
        }
    }

    #[must_use]
    pub fn mode(&self) -> Mode {
        match self {
            Self::Auto(_) => Mode::Chat,
            Self::Real(model) => model.mode,
        }
    }
}

/// Everything that a caller can ask for, `auto` first.
#[must_use]
pub fn list_models<'a>(app: &App, live: &'a Live, caller: &Caller) -> Vec<ListedModel<'a>> {
    let catalogue = &live.catalogue;
    let now = app.shared.clock.now();
    let can_be_asked =
        |model: &Model| model.is_live(now) || catalogue.in_place_of(model, now).is_some();
    let models = catalogue.models().iter();
    [Dial::BALANCED, Dial::CHEAP, Dial::BEST]
        .into_iter()
        .map(ListedModel::Auto)
        .chain(
            models
                .filter(|model| caller.may_use(model) && can_be_asked(model))
                .map(|model| ListedModel::Real(model)),
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_listed_by_the_names_that_are_asked_for() {
        let names = [Dial::BALANCED, Dial::CHEAP, Dial::BEST].map(ListedModel::Auto);
        assert_eq!(names.each_ref().map(ListedModel::id), ["auto", "auto:cheap", "auto:best"]);
        for one in names {
            assert_eq!((one.owned_by(), one.tier(), one.mode()), ("optimux", None, Mode::Chat));
            assert!(one.description().is_some());
        }
    }
}
