//! A change holds as a whole, with who made it and why, or not at all.

use super::*;
use crate::administration::fixture::{AdministrationFixture, REFUSED};
use crate::admit::fixture::NOON;
use crate::live::Live;

fn why(reason: &str) -> ChangeOptions {
    ChangeOptions { dry_run: false, reason: reason.to_owned() }
}

fn to(model: &str) -> Value {
    json!({"fallback": [model]})
}

/// What is said of routes, by the model that they are of.
async fn routes(office: &AdministrationFixture) -> Vec<(String, Value)> {
    office.work().settings(SettingKind::Route).await.unwrap().1
}

#[tokio::test]
async fn what_is_said_holds_from_then_on_and_it_is_kept_who_said_so_and_why() {
    let office = AdministrationFixture::new().await;
    let reason = "\u{f6}".repeat(REASON_CHARACTERS + 1);
    let came =
        office.work().set(SettingKind::Route, "m", Some(to("n")), &why(&reason)).await.unwrap();
    assert_eq!((came.revision, came.said.clone()), (Some(1), Some(to("n"))));
    assert_eq!(office.work().setting(SettingKind::Route, "m").await.unwrap(), to("n"));
    assert_eq!(routes(&office).await, [("m".to_owned(), to("n"))]);
    let all = office.work().revisions().await.unwrap();
    let told = serde_json::to_value(shown(&all[0])).unwrap();
    assert_eq!((&told["actor"], &told["active"]), (&json!("key_admin"), &json!(true)));
    assert_eq!(told["reason"].as_str().unwrap().chars().count(), REASON_CHARACTERS);
    assert_eq!(office.logged().await, [("route.put".to_owned(), "m".to_owned())]);
}

#[tokio::test]
async fn what_is_only_tried_changes_nothing_and_tells_what_would_be_said() {
    let office = AdministrationFixture::new().await;
    let dry = ChangeOptions { dry_run: true, reason: String::new() };
    let came = office.work().set(SettingKind::Route, "m", Some(to("n")), &dry).await.unwrap();
    assert_eq!((came.revision, came.said), (None, Some(to("n"))));
    assert!(routes(&office).await.is_empty());
    office.work().set(SettingKind::Route, "m", Some(to("n")), &why("")).await.unwrap();
    let came = office.work().restore(0, &dry).await.unwrap();
    assert_eq!(came.revision, None);
    assert_eq!(routes(&office).await.len(), 1);
    assert_eq!(office.logged().await.len(), 1);
}

#[tokio::test]
async fn what_would_not_load_is_refused_with_every_fault_and_is_not_kept() {
    let office = AdministrationFixture::new().await;
    for (name, said) in [(REFUSED, Some(to("n"))), ("m", Some(json!({"fallback": "n"})))] {
        let refused =
            office.work().set(SettingKind::Route, name, said, &why("")).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Malformed);
        assert_eq!(refused.code.as_deref(), Some("invalid_settings"));
        assert!(refused.public.starts_with("Nothing was changed: "), "{}", refused.public);
    }
    assert!(office.work().revisions().await.unwrap().is_empty());
    assert!(office.logged().await.is_empty());
    let long = refused(&["\u{f6}".repeat(5_000), "b".to_owned()]);
    assert!(long.public.chars().count() < 2_100, "faults without end are told in part");
}

#[tokio::test]
async fn what_was_said_is_taken_back_once() {
    let office = AdministrationFixture::new().await;
    for (name, said) in [("m", Some(to("n"))), ("k", Some(to("n")))] {
        office.work().set(SettingKind::Route, name, said, &why("")).await.unwrap();
    }
    let came = office.work().set(SettingKind::Route, "m", None, &why("")).await.unwrap();
    assert_eq!((came.revision, came.said), (Some(3), None));
    assert_eq!(routes(&office).await, [("k".to_owned(), to("n"))]);
    for gone in [
        office.work().set(SettingKind::Route, "m", None, &why("")).await.map(|_| ()),
        // Of another sort nothing was said of it.
        office.work().set(SettingKind::Model, "k", None, &why("")).await.map(|_| ()),
        office.work().setting(SettingKind::Route, "m").await.map(|_| ()),
    ] {
        assert_eq!(gone.unwrap_err().kind, Kind::NotFound);
    }
    assert_eq!(office.work().revisions().await.unwrap().len(), 3);
}

#[tokio::test]
async fn of_two_changes_at_the_same_time_the_second_is_not_laid_over_what_it_has_not_seen() {
    let mut office = AdministrationFixture::new().await;
    let (store, runtime) = (office.accounts.store.clone(), tokio::runtime::Handle::current());
    // Somebody else is faster: their change comes while this one is tried.
    office.trial = Arc::new(move |_| {
        let text = json!({"routes": {"theirs": {"fallback": ["n"]}}}).to_string();
        let new = NewRevision {
            sha256: String::new(),
            reason: String::new(),
            change: Change::Settings { text, over: 0, plans: Vec::new() },
        };
        let audit = Audit {
            id: AuditId::fresh(),
            at: NOON,
            actor: "key_other".to_owned(),
            action: "route.put".to_owned(),
            target: "theirs".to_owned(),
            detail: "{}".to_owned(),
        };
        assert!(runtime.block_on(store.add_catalogue(new, audit)).unwrap().is_some());
        Ok(Live::bare())
    });
    let refused =
        office.work().set(SettingKind::Route, "mine", Some(to("n")), &why("")).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Conflict);
    assert_eq!(refused.code.as_deref(), Some("revision_changed"));
    let names: Vec<String> = routes(&office).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["theirs"]);
    assert_eq!(office.logged().await.len(), 1, "what was not done is not logged");
}

#[tokio::test]
async fn an_earlier_revision_holds_again_and_what_is_built_in_alone_by_nought() {
    let office = AdministrationFixture::new().await;
    for model in ["one", "two"] {
        office.work().set(SettingKind::Route, "m", Some(to(model)), &why("")).await.unwrap();
    }
    let came = office.work().restore(1, &why("two was worse")).await.unwrap();
    assert_eq!(came.revision, Some(1));
    assert_eq!(office.work().setting(SettingKind::Route, "m").await.unwrap(), to("one"));
    // What is said next is said over what holds, not over what was said last.
    office.work().set(SettingKind::Route, "k", Some(to("n")), &why("")).await.unwrap();
    assert_eq!(routes(&office).await.len(), 2);
    assert_eq!(office.work().setting(SettingKind::Route, "m").await.unwrap(), to("one"));
    office.work().restore(0, &why("")).await.unwrap();
    assert!(routes(&office).await.is_empty());
    let before = office.logged().await;
    for none in [99, -1] {
        let refused = office.work().restore(none, &why("")).await.unwrap_err();
        assert_eq!(refused.kind, Kind::NotFound, "{none}");
    }
    assert_eq!(office.logged().await, before);
    assert!(before.contains(&("catalogue.rollback".to_owned(), "1".to_owned())));
}

#[tokio::test]
async fn another_plan_holds_at_once_for_who_is_known_already_and_is_taken_back_with_its_revision() {
    let office = AdministrationFixture::new().await;
    let all = &office.accounts;
    let account = all.open("acme").await;
    let ann = all.member(&account, "ann@acme.test", crate::admit::Role::Member).await;
    let has = async || all.caller(&ann).await.plan.entry.zdr;
    assert_eq!(has().await, None);
    let said = Some(json!({"zdr": true}));
    let came = office.work().set(SettingKind::Plan, "pro", said, &why("")).await.unwrap();
    assert!(!came.changes.plans.is_empty());
    assert_eq!(has().await, Some(true));
    office.work().restore(0, &why("")).await.unwrap();
    assert_eq!(has().await, None);
}
