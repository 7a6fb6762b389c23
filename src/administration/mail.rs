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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::administration::fixture::AdministrationFixture;
    use crate::admit::fixture::NOON;
    use crate::notice::Mail;
    use crate::store::NewMail;
    use std::time::Duration;

    /// An administrator who has a mail server, where nobody listens.
    async fn office() -> AdministrationFixture {
        let url = "smtp://127.0.0.1:1".into();
        let mail = Mail::new(&url, "gateway@example.com", "https://ai.example.com", None);
        AdministrationFixture { mail: Some(mail.unwrap()), ..AdministrationFixture::new().await }
    }

    /// Writes a mail down.
    async fn posted(office: &AdministrationFixture) -> MailId {
        let id = MailId::fresh();
        let mail = NewMail {
            id: id.clone(),
            kind: "reset",
            account: String::new(),
            target: "ann@example.com".to_owned(),
            body: "{}".to_owned(),
            created: NOON,
        };
        office.accounts.store.post_mail(mail).await.unwrap();
        id
    }

    #[tokio::test]
    async fn where_there_is_no_server_nothing_is_sent_and_it_is_said_so() {
        let office = AdministrationFixture::new().await;
        let id = posted(&office).await;
        for refused in [
            office.work().retry_mail(id.as_str()).await,
            office.work().test_mail("ann@example.com").await,
        ] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind, Kind::Conflict);
            assert_eq!(refused.code.as_deref(), Some("mail_not_configured"));
        }
        assert!(office.logged().await.is_empty());
    }

    #[tokio::test]
    async fn a_mail_that_was_given_up_is_tried_again_and_that_is_logged() {
        let office = office().await;
        let store = &office.accounts.store;
        let id = posted(&office).await;
        store.mail_failed(id.clone(), "no".to_owned(), None).await.unwrap();
        assert_eq!(store.waiting_mail().await.unwrap(), 0);
        office.work().retry_mail(id.as_str()).await.unwrap();
        assert_eq!(store.waiting_mail().await.unwrap(), 1);
        assert_eq!(office.logged().await, [("mail.retry".to_owned(), id.as_str().to_owned())]);
    }

    #[tokio::test]
    async fn a_mail_that_was_sent_or_is_being_sent_is_not_sent_a_second_time() {
        let office = office().await;
        let store = &office.accounts.store;
        let sent = posted(&office).await;
        store.mail_was_sent(sent.clone()).await.unwrap();
        let under_way = posted(&office).await;
        let lease = NOON.after(Duration::from_secs(3_600));
        let taken = store.take_mail(NOON, lease).await.unwrap().unwrap();
        assert_eq!(taken.id, under_way);
        for id in [sent.as_str(), under_way.as_str(), "mail_none"] {
            let refused = office.work().retry_mail(id).await.unwrap_err();
            assert_eq!(refused.kind, Kind::NotFound, "{id}");
        }
        assert!(office.logged().await.is_empty());
    }

    #[tokio::test]
    async fn a_test_says_what_is_wrong_with_the_address_or_with_the_server() {
        let office = office().await;
        let refused = office.work().test_mail("nobody").await.unwrap_err();
        assert_eq!((refused.kind, refused.field.as_deref()), (Kind::Malformed, Some("to")));
        // As it is pasted, with what is around it.
        let refused = office.work().test_mail(" ann@example.com\n").await.unwrap_err();
        assert_eq!(refused.kind, Kind::UpstreamDown);
        assert_eq!(refused.code.as_deref(), Some("mail_failed"));
    }
}
