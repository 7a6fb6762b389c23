//! The outbox, as administrators see to it.

use serde_json::json;

use super::{Administration, missing};
use crate::base::ids::MailId;
use crate::base::{Error, Kind};

impl Administration<'_> {
    /// Has a mail tried again at once.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for one that there is not, was sent or is being sent.
    pub async fn retry_mail(&self, id: &str) -> Result<(), Error> {
        let mail = self.mail.ok_or_else(no_server)?;
        let retried = self.store.retry_mail(MailId::stored(id), self.now()).await;
        if !retried.map_err(Error::internal)? {
            return Err(missing("mail that waits or was given up", id));
        }
        mail.posted();
        self.log("mail.retry", id, json!({})).await
    }

    /// Sends a test at once.
    ///
    /// # Errors
    /// [`Kind::Malformed`] for what is no address; [`Kind::UpstreamDown`] with what the server said.
    pub async fn test_mail(&self, to: &str) -> Result<(), Error> {
        self.mail.ok_or_else(no_server)?.test(to.trim()).await
    }
}

fn no_server() -> Error {
    let text = "No mail server is configured. Set [mail] and the variable of its address.";
    Error::new(Kind::Conflict, text).coded("mail_not_configured")
}
