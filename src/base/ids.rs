//! Typed ids: a prefix that says what is named, then a UUID v7, so that ids sort by time.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A fresh id, later than every one made before it on this machine.
            #[must_use]
            pub fn fresh() -> Self {
                let mut text = [0; uuid::fmt::Simple::LENGTH];
                let uuid = Uuid::now_v7().simple().encode_lower(&mut text);
                Self(format!(concat!($prefix, "{}"), uuid).into())
            }

            /// An id read back from the store, as it stands there.
            #[must_use]
            pub fn stored(text: &str) -> Self {
                Self(text.into())
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// One request as the caller sees it, whatever it took to answer it.
    RequestId, "req_");
id!(
    /// Who pays.
    AccountId, "acct_");
id!(
    /// One credential of an account.
    KeyId, "key_");
id!(
    /// An answer that is kept.
    ResponseId, "resp_");
id!(
    /// A list of items that answers are added to.
    ConversationId, "conv_");

id!(
    /// Something that is remembered.
    MemoryId, "mem_");
id!(
    /// Instructions and tools under a name.
    AgentId, "agent_");
id!(
    /// Credentials lent to an app.
    ConnectionId, "conn_");
id!(
    /// Something that an action or an agent did.
    EventId, "evt_");
id!(
    /// One run of an agent.
    RunId, "run_");

id!(
    /// Credits given beyond the plan's.
    GrantId, "grant_");
id!(
    /// Something an administrator did.
    AuditId, "audit_");
id!(
    /// A mail.
    MailId, "mail_");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_their_prefix_and_sort_by_time() {
        let first = RequestId::fresh();
        let second = RequestId::fresh();
        assert!(first.as_str().starts_with("req_"));
        assert!(first < second);
    }
}
