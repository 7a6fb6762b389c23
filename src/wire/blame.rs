//! Whose fault a refusal is: the request's, the deployment's, or ours. Makers have no codes for most of
//! this, so their words are read; `tests/recordings` and the public reports have them.

use super::vocab::{Fault, FaultKind};

/// Our account there is empty, over a limit that its owner set, or closed.
const UNPAID: [&str; 38] = [
    "credit balance",
    "insufficient balance",
    "insufficient_balance",
    "balance not enough",
    "not enough balance",
    "insufficient funds",
    "insufficient credits",
    "out of credits",
    "no credits",
    "all available credits",
    "credit limit",
    "purchase credits",
    "insufficient_quota",
    "exceeded your current quota",
    "exceeded_current_quota",
    "budget has been exceeded",
    "budget exceeded",
    "exceeded budget",
    "billing",
    "payment",
    "usage limit",
    "spending limit",
    "spend limit",
    "hard limit",
    "arrearage",
    "overdue",
    "unpurchased",
    "in good standing",
    "organization has been disabled",
    "organization has been restricted",
    "organization must be verified",
    "requires terms acceptance",
    "model_terms_required",
    "suspended",
    "deactivated",
    "account is not active",
    // "Insufficient balance" and "in arrears", as Zhipu and Alibaba write them.
    "余额不足",
    "欠费",
];

/// Things that a request names or says: a refusal that speaks of one is about the request.
const THINGS: [&str; 40] = [
    "assistant",
    "attachment",
    "audio",
    "batch",
    "blocked",
    "cache",
    "cached",
    "cachedcontent",
    "container",
    "content",
    "conversation",
    "document",
    "documents",
    "file",
    "files",
    "flagged",
    "harmful",
    "image",
    "images",
    "input",
    "item",
    "message",
    "messages",
    "moderation",
    "object",
    "policy",
    "prompt",
    "response",
    "s3",
    "safety",
    "skill",
    "store",
    "thread",
    "tool",
    "tools",
    "upload",
    "url",
    "vector",
    "video",
    "voice",
];

/// Words of a refusal that is about us: our key, our account, or what they may do.
const OURS: [&str; 30] = [
    "access",
    "account",
    "allowed",
    "api",
    "authentication",
    "authorization",
    "authorized",
    "consumer",
    "country",
    "credential",
    "credentials",
    "denied",
    "forbidden",
    "ip",
    "key",
    "location",
    "organization",
    "permission",
    "permissions",
    "plan",
    "project",
    "region",
    "scope",
    "signature",
    "subscription",
    "team",
    "territory",
    "token",
    "unauthorized",
    "workspace",
];

/// All that a server says where there is nothing at an address: the address is ours.
const NOWHERE: [&str; 5] =
    ["not found", "404 not found", "404 page not found", "resource not found", "page not found"];

/// It has no such model, or has it no longer.
const GONE: [&str; 18] = [
    "model not found",
    "model_not_found",
    "model does not exist",
    "no such model",
    "unknown model",
    "invalid model name",
    "is not a valid model",
    "not a supported model",
    "model not exist",
    "decommissioned",
    "has been deprecated",
    "has been retired",
    "no longer supported. please",
    "no longer available",
    "model identifier",
    "invalid model:",
    "deployment for this resource does not exist",
    "is not found for api version",
];

/// It cannot do this, and another may.
pub(super) const UNFIT: [&str; 16] = [
    "not support",
    "unsupported",
    "isn't support",
    "not available for this model",
    "not available on this model",
    "not enabled for this model",
    "not compatible with",
    "incompatible with",
    "cannot be used with",
    "can't be used with",
    "cannot be combined",
    "not allowed with",
    "is deprecated for this model",
    "only supported",
    // OpenRouter: no endpoints found that support what was asked, or that the caller allows.
    "that support",
    "allowed providers",
];

/// A message without what stands in quotes, which may be the caller's own words, in small letters
/// and with one blank between words.
fn unquoted(message: &str) -> String {
    let own = message.split(['\'', '"', '`']).step_by(2).collect::<Vec<_>>().join(" ");
    own.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Who was asked for what, when a fault came.
#[derive(Debug, Clone, Copy)]
pub struct FaultContext<'a> {
    /// The provider's name for the model.
    pub model: &'a str,
    /// The request as it was sent. What a message repeats of it proves nothing: else a caller could
    /// bring about any fault, and close a deployment to everybody.
    pub sent: &'a [u8],
}

/// A provider's message, and what it may be repeating.
struct Message<'a> {
    own: String,
    asked: FaultContext<'a>,
    /// The request in small letters, should it be looked into.
    sent: Option<String>,
}

impl Message<'_> {
    fn is_echo(&mut self, word: &str) -> bool {
        let sent = self.asked.sent;
        let sent = self.sent.get_or_insert_with(|| String::from_utf8_lossy(sent).to_lowercase());
        sent.contains(word)
    }

    /// Whether it says one of these, by itself.
    fn says(&mut self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.own.contains(phrase) && !self.is_echo(phrase))
    }

    /// Whether one of these is a word of it.
    fn has_word(&self, words: &[&str]) -> bool {
        let mut all = self.own.split(|c: char| !c.is_alphanumeric());
        all.any(|word| words.binary_search(&word).is_ok())
    }

    fn is_nothing(&self) -> bool {
        let own = self.own.trim_end_matches(['.', '!']);
        own.is_empty() || NOWHERE.contains(&own)
    }
}

/// A fault, told apart: a refusal that is not the request's fault, and a 403 or 404 that is about
/// what the request names or says, and not about our account or the model. The latter must not speak
/// for the deployment: one caller could take it from all others.
#[must_use]
pub fn told_apart(fault: Fault, asked: FaultContext<'_>) -> Fault {
    let ambiguous = match fault.kind {
        FaultKind::Refused | FaultKind::Unfit | FaultKind::ModelGone => true,
        // 401 is always about a key.
        FaultKind::Credential => fault.status != Some(401),
        _ => false,
    };
    if !ambiguous {
        return fault;
    }
    let mut message = Message { own: unquoted(&fault.message), asked, sent: None };
    let code = fault.code.as_deref().unwrap_or_default().to_lowercase();
    let kind = if message.says(&UNPAID) || UNPAID.contains(&code.as_str()) {
        FaultKind::Quota
    } else {
        match fault.kind {
            FaultKind::Refused if message.says(&GONE) => FaultKind::ModelGone,
            FaultKind::Refused if message.says(&UNFIT) || code == "unsupported_value" => {
                FaultKind::Unfit
            }
            // A page of a wall in front says nothing, and may have been put up by what was said.
            FaultKind::Credential if message.has_word(&THINGS) || !message.has_word(&OURS) => {
                FaultKind::Unfit
            }
            FaultKind::ModelGone if message.is_nothing() || code.contains("model") => {
                FaultKind::ModelGone
            }
            FaultKind::ModelGone if message.says(&GONE) => FaultKind::ModelGone,
            FaultKind::ModelGone if message.says(&UNFIT) || message.has_word(&THINGS) => {
                FaultKind::Unfit
            }
            // Whoever has not got the model says which one; its name is not the caller's.
            FaultKind::ModelGone if !fault.message.contains(asked.model) => FaultKind::Unfit,
            kind => kind,
        }
    };
    Fault { kind, ..fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(message: &str) -> Fault {
        Fault::new(FaultKind::Refused, message)
    }

    const ASKED: FaultContext<'static> =
        FaultContext { model: "big-1", sent: br#"{"model":"big-1"}"# };

    #[test]
    fn what_is_not_the_callers_fault_is_told_apart() {
        for message in [
            "Your credit balance is too low to access the API.",
            "Access denied, please make sure your account is in good standing.",
            "Insufficient Balance",
            "Billing hard limit has been reached",
            "Budget has been exceeded! Current cost: 10.1, Max budget: 10.0",
            "You have reached your specified API usage limits. You will regain access on 2026-01-01.",
            "This organization has been disabled.",
            "Organization has been restricted. Please reach out to support.",
            "The model m requires terms acceptance. Please have the org admin accept the terms.",
            "Your organization must be verified to stream this model.",
            "账户余额不足，请充值",
        ] {
            for (kind, status) in [(FaultKind::Refused, 400), (FaultKind::Credential, 403)] {
                let fault = Fault { status: Some(status), ..Fault::new(kind, message) };
                assert_eq!(told_apart(fault, ASKED).kind, FaultKind::Quota, "{status}: {message}");
            }
            // Said by the caller, and repeated: that proves nothing.
            let sent = serde_json::json!({"messages": message}).to_string();
            let echo = FaultContext { sent: sent.as_bytes(), ..ASKED };
            assert_eq!(told_apart(fault(message), echo).kind, FaultKind::Refused);
        }
        for (message, kind) in [
            ("The model `x` has been decommissioned", FaultKind::ModelGone),
            (
                "Function calling with a response mime type: 'application/json' is unsupported",
                FaultKind::Unfit,
            ),
            ("messages: at least one message is required", FaultKind::Refused),
            ("Invalid value: 'model not found'.", FaultKind::Refused),
            ("Invalid value: 'insufficient_quota'.", FaultKind::Refused),
        ] {
            assert_eq!(told_apart(fault(message), ASKED).kind, kind, "{message}");
        }
    }

    #[test]
    fn a_403_or_404_is_ours_only_where_it_speaks_of_our_key_or_of_the_model() {
        for (status, message, kind) in [
            // Of what the request names or says.
            (403, "Your input was flagged by the provider's moderation.", FaultKind::Unfit),
            (403, "You do not have permission to access the File abc.", FaultKind::Unfit),
            (403, "This voice is not yours to use.", FaultKind::Unfit),
            (404, "No such File object: file-abc", FaultKind::Unfit),
            (404, "File not found: file_011", FaultKind::Unfit),
            (404, "Previous response with id 'resp_1' not found.", FaultKind::Unfit),
            (404, "No such Vector Store object: vs_1", FaultKind::Unfit),
            (404, "No endpoints found that support image input", FaultKind::Unfit),
            (404, "No endpoints found that support tool use", FaultKind::Unfit),
            (404, "tools is not supported in this model", FaultKind::Unfit),
            (404, "Requested entity was not found.", FaultKind::Unfit),
            (410, "The container has expired.", FaultKind::Unfit),
            (
                400,
                "The File abc is not in an ACTIVE state and usage is not allowed.",
                FaultKind::Unfit,
            ),
            (403, "", FaultKind::Unfit),
            // Of our account.
            (403, "Forbidden", FaultKind::Credential),
            (403, "Your API key was reported as leaked.", FaultKind::Credential),
            (403, "Project does not have access to model big-1.", FaultKind::Credential),
            (403, "Country, region, or territory not supported", FaultKind::Credential),
            (401, "This file is not yours.", FaultKind::Credential),
            // Of the model, or of the address.
            (404, "", FaultKind::ModelGone),
            (404, "Not Found", FaultKind::ModelGone),
            (404, "404 page not found", FaultKind::ModelGone),
            (
                404,
                "The model `big-1` does not exist or you do not have access to it.",
                FaultKind::ModelGone,
            ),
            (404, "model: big-1", FaultKind::ModelGone),
            (
                404,
                "models/big-1 is not found for API version v1beta, or is not supported for generateContent.",
                FaultKind::ModelGone,
            ),
            (404, "model 'big-1' not found, try pulling it first", FaultKind::ModelGone),
            (404, "The API deployment for this resource does not exist.", FaultKind::ModelGone),
            (410, "big-1 is gone", FaultKind::ModelGone),
        ] {
            let before = match status {
                400 => FaultKind::Credential,
                status => FaultKind::of_status(Some(status)),
            };
            let fault = Fault { status: Some(status), ..Fault::new(before, message) };
            assert_eq!(told_apart(fault, ASKED).kind, kind, "{status}: {message}");
        }
    }

    #[test]
    fn tables_of_words_are_in_order() {
        for words in [&THINGS[..], &OURS[..]] {
            assert!(words.is_sorted(), "{words:?}");
        }
    }
}
