//! The mail server, and what it says. The one file that knows how mail is sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::response::{Category, Detail};
use lettre::{AsyncTransport as _, Message, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;

use super::Letter;
use crate::base::clock::Timestamp;
use crate::base::ids::MailId;
use crate::base::seal::{Vault, is_sealed};
use crate::base::{Error, Kind};
use crate::store::NewMail;

/// How long the server may take for one answer, and for all of a mail: less than the lease of it.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
pub(super) const SENT_WITHIN: Duration = Duration::from_secs(45);

/// Why mail cannot be sent with what is configured.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("is no address such as smtps://user:password@mail.example.com:465: {0}")]
    Url(String),
    #[error("'{0}' is no sender such as 'Optimux <no-reply@example.com>'")]
    From(String),
}

/// Why a mail was not sent, in the server's words.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Undelivered {
    pub why: String,
    /// The server will never take it.
    pub for_good: bool,
}

struct Server {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// Where this gateway is reached, without a slash at the end.
    home: String,
    vault: Option<Vault>,
    /// Somebody wrote a mail down on this node.
    posted: Notify,
}

/// Mail, where a server for it is configured. Cheap to clone.
#[derive(Clone)]
pub struct Mail(Arc<Server>);

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mail(from {})", self.0.from)
    }
}

impl Mail {
    /// `url` is `smtps://…` (TLS from the start), `smtp://…?tls=required` (STARTTLS) or `smtp://…`
    /// (in the clear, for a server on the same machine).
    ///
    /// # Errors
    /// [`MailError`].
    pub fn new(
        url: &SecretString,
        from: &str,
        home: &str,
        vault: Option<Vault>,
    ) -> Result<Self, MailError> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret().trim());
        let builder = builder.map_err(|why| MailError::Url(why.to_string()))?;
        let transport = builder.timeout(Some(ANSWERS_WITHIN)).build();
        let from = from.parse().map_err(|_| MailError::From(from.to_owned()))?;
        let home = home.trim_end_matches('/').to_owned();
        Ok(Self(Arc::new(Server { transport, from, home, vault, posted: Notify::new() })))
    }

    /// Where links in mails lead: never to what a request says of its host.
    #[must_use]
    pub fn home(&self) -> &str {
        &self.0.home
    }

    /// A letter as it is written down, sealed where there is a key to seal with.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn addressed(
        &self,
        letter: &Letter,
        to: &str,
        account: &str,
        now: Timestamp,
    ) -> Result<NewMail, Error> {
        let id = MailId::fresh();
        let body = serde_json::to_string(letter).map_err(Error::internal)?;
        let body = match &self.0.vault {
            Some(vault) => vault.seal(&body, &place(&id)).map_err(Error::internal)?,
            None => body,
        };
        let (account, target) = (account.to_owned(), to.to_owned());
        Ok(NewMail { id, kind: letter.kind, account, target, body, created: now })
    }

    /// What was written down.
    pub(super) fn opened(&self, id: &MailId, body: &str) -> Result<Letter, Undelivered> {
        let lost = |why: String| Undelivered { why, for_good: true };
        let text = if is_sealed(body) {
            let vault = self.0.vault.as_ref();
            let vault = vault.ok_or_else(|| lost("there is no vault key to open it".to_owned()))?;
            vault.open(body, &place(id)).map_err(|why| lost(why.to_string()))?
        } else {
            SecretString::from(body)
        };
        serde_json::from_str(text.expose_secret()).map_err(|why| lost(why.to_string()))
    }

    /// Mail was written down: it is sent at once, if this node gets it.
    pub fn posted(&self) {
        self.0.posted.notify_one();
    }

    pub(super) async fn until_posted(&self) {
        self.0.posted.notified().await;
    }

    /// Gives a letter to the server.
    ///
    /// # Errors
    /// [`Undelivered`], with what the server said.
    pub async fn send(&self, id: &MailId, letter: &Letter, to: &str) -> Result<(), Undelivered> {
        let lost = |why: String| Undelivered { why, for_good: true };
        let to: Mailbox = to.parse().map_err(|_| lost(format!("'{to}' is no address")))?;
        let from = self.0.from.clone();
        // The same each time that it is tried: who gets it twice is shown it once.
        let name = format!("<{id}@{}>", from.email.domain());
        let message =
            Message::builder().from(from).to(to).message_id(Some(name)).subject(&letter.subject);
        let text = letter.text.clone();
        let message = if letter.html.is_empty() {
            message.header(ContentType::TEXT_PLAIN).body(text)
        } else {
            message.multipart(MultiPart::alternative_plain_html(text, letter.html.clone()))
        };
        let message = message.map_err(|why| lost(why.to_string()))?;
        match tokio::time::timeout(SENT_WITHIN, self.0.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) => {
                // 550 to 554 speak of the mail or its address (RFC 5321, 4.2.3); what the server has
                // against us, such as a wrong password (535), an operator can mend.
                let of_the_mail = why.status().is_some_and(|code| {
                    code.category == Category::MailSystem && code.detail != Detail::Five
                });
                Err(Undelivered {
                    for_good: why.is_permanent() && of_the_mail,
                    why: why.to_string(),
                })
            }
            Err(_) => {
                let why = "the mail server did not answer in time".to_owned();
                Err(Undelivered { why, for_good: false })
            }
        }
    }

    /// Sends a test, and says what came of it.
    ///
    /// # Errors
    /// [`Kind::Malformed`] for what is no address, [`Kind::UpstreamDown`] with the server's words.
    pub async fn test(&self, to: &str) -> Result<(), Error> {
        if to.parse::<Mailbox>().is_err() {
            return Err(Error::new(
                Kind::Malformed,
                "That is no e-mail address: it has to be like name@example.com.",
            )
            .at("to"));
        }
        let sent = self.send(&MailId::fresh(), &Letter::test(self.home()), to).await;
        sent.map_err(|why| {
            let text = format!("The mail server did not take it: {why}");
            Error::new(Kind::UpstreamDown, text).coded("mail_failed")
        })
    }
}

/// What a mail is sealed for.
fn place(id: &MailId) -> String {
    format!("outbox/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(url: &str, from: &str) -> Result<Mail, MailError> {
        let vault = Vault::new(&SecretString::from("0123456789abcdef0123456789abcdef"));
        Mail::new(&SecretString::from(url), from, "https://ai.example.com/", vault)
    }

    #[test]
    fn what_is_no_server_or_no_sender_is_refused() {
        assert!(matches!(mail("nowhere", "a@b.example"), Err(MailError::Url(_))));
        assert!(matches!(mail("smtp://127.0.0.1:25", "nobody"), Err(MailError::From(_))));
        let good = mail("smtps://ann:secret@mail.example.com:465", "Us <a@b.example>").unwrap();
        assert_eq!(good.home(), "https://ai.example.com");
        assert!(!format!("{good:?}").contains("secret"));
    }

    #[test]
    fn a_letter_waits_sealed_and_for_its_place_alone() {
        let mail = mail("smtp://127.0.0.1:25", "a@b.example").unwrap();
        let letter = Letter::code("123456");
        let written = mail.addressed(&letter, "c@d.example", "", Timestamp(0)).unwrap();
        assert!(is_sealed(&written.body));
        let opened = mail.opened(&written.id, &written.body).unwrap();
        assert_eq!((opened.subject, opened.text), (letter.subject, letter.text));
        let elsewhere = mail.opened(&MailId::fresh(), &written.body).unwrap_err();
        assert!(elsewhere.for_good);
    }
}
