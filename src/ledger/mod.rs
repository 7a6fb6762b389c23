//! What was delivered and what it cost: held before a request, settled after it, exactly once.
//!
//! A settlement is a line of the journal, a file of this node, written before the last byte of the
//! answer leaves. A page of such lines becomes one transaction of the store: the page itself, its
//! postings to the accounts, the sums that reports are made of. The page's place in the journal is
//! its key, so that a page posted twice counts once; and what a crash left unposted is posted by
//! whichever process next finds the file.

mod count;
mod counter;
mod funds;
mod hold;
mod journal;
mod page;
mod posting;
mod receipt;
mod segment;
mod settlement;
mod tariff;
mod weighed;

pub mod head;
pub mod report;
pub mod verify;

pub use count::{count_reply, count_text};
pub use counter::{AuxiliaryPricer, Counter};
pub use funds::Funds;
pub use hold::{Delivered, Hold, Outset};
pub use journal::{Durability, Journal, JournalError};
pub use page::{JournalPage, minute_key};
pub use posting::post_leftovers;
pub use receipt::Receipt;
pub use settlement::{Answerer, Basis, FailedAttempt, LineError, Outcome, Settlement, Tokens};
pub use tariff::{Selling, Tariff};
pub use weighed::{
    MOST_CANDIDATES, PromptEstimate, Record, Scored, Verdict, Weighed, hundredths, of_hundredths,
};
