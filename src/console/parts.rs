//! Pieces that pages are made of: fields, lists to choose from, and what is said of a form.

use maud::{Markup, html};

use crate::base::{Error, Kind};

/// Text to be copied, with a button for it that needs a script.
#[must_use]
pub fn snippet(id: &str, text: &str) -> Markup {
    html! {
        div class="snippet" {
            pre id=(id) tabindex="0" { code { (text) } }
            button type="button" class="copy" data-copy=(id) hidden { "Copy" }
        }
    }
}

/// What was wrong with a form, above it.
#[must_use]
pub fn summary(error: Option<&Error>) -> Markup {
    html! {
        @if let Some(error) = error {
            div class="alert bad" role="alert" tabindex="-1" data-focus {
                strong { "Not done. " }
                @match &error.field {
                    Some(field) => a href=(format!("#{field}")) { (error.public) },
                    None => (error.public),
                }
                @if let Some(wait) = error.retry_after.filter(|_| error.kind == Kind::RateLimited) {
                    " It opens again in " (wait.as_secs().div_ceil(60)) " minutes."
                }
            }
        }
    }
}

/// A field of a form with its label, and a word of what is wanted.
#[must_use]
pub fn field(id: &str, label: &str, input: Markup, hint: Option<&str>) -> Markup {
    html! {
        div class="field" {
            label for=(id) { (label) }
            (input)
            @if let Some(hint) = hint { p class="hint" { (hint) } }
        }
    }
}

/// Where somebody chooses a password, and how long it has to be.
#[must_use]
pub fn new_password(label: &str) -> Markup {
    html! {
        (field("password", label, html! {
            input id="password" name="password" type="password" autocomplete="new-password" required minlength="10" maxlength="1024" aria-describedby="length";
        }, None))
        p class="hint" id="length" { "10 characters or more." }
    }
}

/// A list to choose from: values, how they are called, and which one is chosen.
#[must_use]
pub fn choice(id: &str, all: &[(&str, &str)], chosen: &str) -> Markup {
    html! {
        select id=(id) name=(id) {
            @for (value, name) in all {
                option value=(value) selected[*value == chosen] { (name) }
            }
        }
    }
}

/// A word that something was done, after a form led back to a page.
#[must_use]
pub fn notice(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { p class="alert good" role="status" { (text) } } }
}
