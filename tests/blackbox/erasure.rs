//! Whoever is erased is in no table but the books. Every table that there is is filled first, as the
//! database itself lists them, so that a new one cannot be forgotten.

use std::collections::{BTreeMap, BTreeSet};

use optimux::base::ids::AccountId;
use optimux::store::{LeaveResult, LeaveRule, Store};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Row as _};

use crate::house::runtime;
use crate::servers::Postgres;

/// What stays of an account, and why.
const BOOKS: [(&str, &str); 7] = [
    ("ledger_pages", "the journal: what was charged, under ids that stand for nobody"),
    ("ledger_entries", "what was posted of it"),
    ("balances", "sums of the entries"),
    ("usage_minutes", "sums of the journal, by key"),
    ("usage_hours", "the same"),
    ("usage_days", "the same"),
    ("grants", "credits that were booked"),
];

/// Tables about no account and nobody in it, and why they are.
const ABOUT_NOBODY: [(&str, &str); 8] = [
    ("revisions", "counters"),
    ("pictures", "answers' pictures under ids that nothing keeps, for an hour"),
    ("plans", "what an administrator says of plans"),
    ("signing_keys", "the gateway's own"),
    ("nodes", "processes"),
    ("catalogue_revisions", "what an administrator says of the catalogue"),
    ("catalogue_active", "which of them holds"),
    ("spent", "hashes of what was good once, for minutes"),
];

/// What stays of a member whose account goes on, beside its books, and why.
const OF_THE_ACCOUNT: [(&str, &str); 5] = [
    ("accounts", "is everybody's who is left"),
    ("request_heads", "lists of the books"),
    ("feedback", "numbers by request"),
    ("outcomes", "sums by model"),
    ("identity_changes", "that something has changed"),
];

/// What is of a person, in whichever account they are.
const OF_PERSONS: [&str; 4] = ["people", "identities", "recovery_codes", "pending_signups"];

/// Somebody in an account, by all that they are known by.
#[derive(Debug, Clone)]
struct Whom {
    /// In all that nothing else is said of.
    mark: &'static str,
    account: &'static str,
    member: String,
    person: &'static str,
    email: &'static str,
    number: i64,
}

impl Whom {
    fn new(mark: &'static str, account: &'static str, person: &'static str, number: i64) -> Self {
        let email = match person {
            "person_bob" => "bob@example.com",
            "person_ann" => "ann@example.com",
            _ => "cy@example.com",
        };
        Self { mark, account, member: format!("member_{mark}"), person, email, number }
    }

    /// The same where it is not of an account: of the person, in whichever.
    fn in_person(&self) -> Self {
        Self { mark: self.person, ..self.clone() }
    }

    /// What a column of text says of them.
    fn said(&self, table: &str, column: &str) -> String {
        let mark = self.mark;
        match (table, column) {
            ("accounts", "id") | (_, "account_id") => self.account.to_owned(),
            ("accounts", "name") => format!("name of {}", self.account),
            ("members", "id") | (_, "member_id" | "user_id") => self.member.clone(),
            ("people", "id") | (_, "person_id") => self.person.to_owned(),
            ("tokens", "subject") => self.person.to_owned(),
            (_, "email") | ("outbox", "target") => self.email.to_owned(),
            ("audit_log", "target") => format!("key_{mark}"),
            ("audit_log", "detail") => format!("{{\"member\":\"{}\"}}", self.member),
            ("form_once", "result") => format!("/console/team/{}?done=role", self.member),
            ("api_keys", "id") => format!("key_{mark}"),
            ("members", "key_id") => format!("key_books_{mark}"),
            (_, "key_id") => format!("key_{mark}"),
            ("signins", "id") | (_, "signin_id") => format!("signin_{mark}"),
            ("conversations", "id") | (_, "conversation_id") => format!("conv_{mark}"),
            ("responses", "id") | (_, "response_id") => format!("resp_{mark}"),
            ("memories", "id") | (_, "memory_id") => format!("mem_{mark}"),
            (_, "actor") => format!("key_books_{mark}"),
            _ => format!("{table}.{column} of {mark}"),
        }
    }
}

/// A table's columns, and whether each holds text.
type Tables = BTreeMap<String, Vec<(String, bool)>>;

fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite")
}

async fn tables(pool: &AnyPool, url: &str) -> Tables {
    let text = if is_sqlite(url) {
        "SELECT m.name, p.name, p.type FROM sqlite_master m JOIN pragma_table_info(m.name) p \
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '_sqlx%'"
    } else {
        "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT), CAST(data_type AS TEXT) \
         FROM information_schema.columns WHERE table_schema = 'public' \
         AND table_name NOT LIKE '\\_sqlx%'"
    };
    let mut tables = Tables::new();
    for row in sqlx::query(text).fetch_all(pool).await.unwrap() {
        let of = |at: usize| row.get::<String, _>(at);
        let kind = of(2).to_lowercase();
        assert!(["text", "bigint"].contains(&&*kind), "{}.{}: {kind}", of(0), of(1));
        tables.entry(of(0)).or_default().push((of(1), kind == "text"));
    }
    tables
}

/// A row of a table, with these columns other than they would be.
async fn put(pool: &AnyPool, tables: &Tables, table: &str, whom: &Whom, other: &[(&str, &str)]) {
    let columns = &tables[table];
    let names: Vec<&str> = columns.iter().map(|(name, _)| &**name).collect();
    let places: Vec<String> = (1..=names.len()).map(|at| format!("${at}")).collect();
    let text = format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT DO NOTHING",
        names.join(", "),
        places.join(", ")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
    for (column, is_text) in columns {
        let other = other.iter().find(|(name, _)| name == column).map(|(_, text)| *text);
        query = if *is_text {
            query.bind(other.map_or_else(|| whom.said(table, column), str::to_owned))
        } else {
            query.bind(4_000_000_000_000 + whom.number)
        };
    }
    query.execute(pool).await.unwrap_or_else(|why| panic!("{table}: {why}"));
}

/// Every cell of every table that is text, joined by rows.
async fn all(pool: &AnyPool, tables: &Tables) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for (table, columns) in tables {
        let texts = columns.iter().filter(|(_, is_text)| *is_text);
        let cells: Vec<String> = texts.map(|(name, _)| format!("COALESCE({name}, '')")).collect();
        if cells.is_empty() {
            continue;
        }
        let text = format!("SELECT {} FROM {table}", cells.join(" || ' ; ' || "));
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(pool).await.unwrap();
        found.insert(table.clone(), rows.iter().map(|row| row.get::<String, _>(0)).collect());
    }
    found
}

/// The tables, but for those that are named, in which something is said of any of these.
fn in_which(
    found: &BTreeMap<String, Vec<String>>,
    words: &[&str],
    but: &[&[(&str, &str)]],
) -> BTreeSet<String> {
    let stays = |table: &str| but.iter().flat_map(|all| all.iter()).any(|(name, _)| *name == table);
    let says = |rows: &[String]| rows.iter().any(|row| words.iter().any(|word| row.contains(word)));
    let tables = found.iter().filter(|(table, rows)| !stays(table) && says(rows));
    tables.map(|(table, _)| table.clone()).collect()
}

async fn nothing_is_left(url: &str) {
    let store = Store::open(url, runtime().handle().clone()).await.unwrap();
    sqlx::any::install_default_drivers();
    let pool = AnyPoolOptions::new().max_connections(1).connect(url).await.unwrap();
    let tables = tables(&pool, url).await;
    let people = [
        Whom::new("bob-in-acme", "acct_acme", "person_bob", 1),
        Whom::new("ann-in-acme", "acct_acme", "person_ann", 2),
        Whom::new("bob-in-other", "acct_other", "person_bob", 3),
        Whom::new("cy-in-other", "acct_other", "person_cy", 4),
    ];
    // What others stand on comes first.
    let first = ["accounts", "people", "members", "api_keys"];
    let rest = tables.keys().map(|name| &**name).filter(|name| !first.contains(name));
    for table in first.into_iter().chain(rest) {
        for whom in &people {
            if OF_PERSONS.contains(&table) {
                put(&pool, &tables, table, &whom.in_person(), &[]).await;
            } else {
                put(&pool, &tables, table, whom, &[]).await;
            }
        }
    }
    for whom in &people {
        // The invitation that they followed, one that they made, and what is of no account.
        let hash = |kind: &str| format!("hash of {kind} of {}", whom.number);
        let invited = format!("{{\"by\":\"{}\"}}", whom.email);
        for (kind, account, subject, payload) in [
            ("joined", whom.account, whom.email, "{}"),
            ("invited", whom.account, "dee@example.com", &invited),
            ("reset", "", whom.person, "{}"),
            ("email", "", whom.email, "{}"),
        ] {
            let other = [
                ("hash", &*hash(kind)),
                ("kind", if kind == "invited" { "invitation" } else { kind }),
                ("account_id", account),
                ("subject", subject),
                ("payload", payload),
            ];
            let whom = if account.is_empty() { &whom.in_person() } else { whom };
            put(&pool, &tables, "tokens", whom, &other).await;
        }
        // Mail that is of no account.
        let other = [("id", &*hash("mail")), ("account_id", "")];
        put(&pool, &tables, "outbox", &whom.in_person(), &other).await;
    }
    let before = all(&pool, &tables).await;
    for (table, rows) in &before {
        assert!(!rows.is_empty(), "{table} was not filled");
    }
    for (table, _) in BOOKS.iter().chain(&ABOUT_NOBODY).chain(&OF_THE_ACCOUNT) {
        assert!(tables.contains_key(*table), "{table} is no table");
    }
    let kept: [&[(&str, &str)]; 2] = [&BOOKS, &ABOUT_NOBODY];
    let of_member: [&[(&str, &str)]; 3] = [&BOOKS, &ABOUT_NOBODY, &OF_THE_ACCOUNT];
    let others = |found: &BTreeMap<String, Vec<String>>, words: &[&str]| {
        let rows = found.values().flatten();
        rows.filter(|row| words.iter().any(|word| row.contains(word))).count()
    };

    // A member who is in another account, too: nothing of them here, and all of them there.
    let [bob, ann, there, cy] = &people;
    let gone = store.erase_member(acme(), bob.member.clone(), LeaveRule::ToItself).await;
    assert_eq!(gone.unwrap(), LeaveResult::Done);
    let after = all(&pool, &tables).await;
    // A member's key is in the books, and so is who did something.
    let trail: [(&str, &str); 1] = [("audit_log", "what was done stays on record")];
    let left = in_which(&after, &[bob.mark], &[&of_member[..], &[&trail]].concat());
    assert_eq!(left, BTreeSet::new(), "of a member");
    assert!(!after["audit_log"].iter().any(|row| row.contains(&bob.member)), "{after:?}");
    let both: Vec<_> = after.iter().filter(|(table, _)| *table != "people").collect();
    let both = both.iter().flat_map(|(_, rows)| rows.iter());
    let both: Vec<_> =
        both.filter(|row| row.contains("acct_acme") && row.contains(bob.email)).collect();
    assert!(both.is_empty(), "their address is not with the account: {both:?}");
    for whom in [ann, there, cy] {
        let person = if whom.person == bob.person { whom.mark } else { whom.person };
        let words = [whom.mark, person];
        assert_eq!(others(&after, &words), others(&before, &words), "{}", whom.mark);
    }
    assert!(after["people"].iter().any(|row| row.contains(bob.email)), "they are in another");

    // The last account that they are in: nothing of the person either.
    let gone = store.erase_member(other(), there.member.clone(), LeaveRule::ToItself).await;
    assert_eq!(gone.unwrap(), LeaveResult::Done);
    let after = all(&pool, &tables).await;
    let left = in_which(&after, &[there.mark, bob.mark], &[&of_member[..], &[&trail]].concat());
    assert_eq!(left, BTreeSet::new(), "of the other member");
    let left = in_which(&after, &[bob.email, bob.person], &kept);
    assert_eq!(left, BTreeSet::new(), "of the person");

    // An account with whoever is in no other.
    assert!(store.erase_account(acme()).await.unwrap());
    let after = all(&pool, &tables).await;
    let words = [ann.mark, ann.email, ann.person, "acct_acme"];
    assert_eq!(in_which(&after, &words, &kept), BTreeSet::new(), "of an account");
    let theirs = [cy.mark, cy.person];
    assert_eq!(others(&after, &theirs), others(&before, &theirs), "and nobody else");
    pool.close().await;
}

fn acme() -> AccountId {
    AccountId::stored("acct_acme")
}

fn other() -> AccountId {
    AccountId::stored("acct_other")
}

#[test]
fn whoever_is_erased_is_in_no_table_but_the_books() {
    let file = std::env::temp_dir().join(format!("optimux-erased-{}.db", std::process::id()));
    let url = format!("sqlite://{}?mode=rwc", file.display());
    runtime().block_on(nothing_is_left(&url));
    for ending in ["", "-wal", "-shm", ".lock"] {
        let _gone = std::fs::remove_file(format!("{}{ending}", file.display()));
    }
}

#[test]
fn whoever_is_erased_is_in_no_table_but_the_books_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    runtime().block_on(nothing_is_left(&postgres.url));
}
