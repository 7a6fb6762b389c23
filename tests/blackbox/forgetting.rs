//! What is forgotten is on no page, in no list and found by no search.

use serde_json::{Value, json};

use crate::console::{OPEN, Page, Tab};
use crate::house::Gateway;
use crate::servers::Postgres;
use crate::signin::{sign_in, with};

/// What every door that tells of memories says, in words.
fn doors(gateway: &Gateway, tab: &Tab<'_>, key: &str, member: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for search in ["", "?search=figs", "?search=tea", "?search=Ann", "?search=Graz"] {
        let page: Page = tab.get(&format!("/console/memory{search}"));
        assert_eq!(page.status(), 200, "{search}: {}", page.text);
        // What was looked for stands in the field.
        let text = page.text.split("</form>").skip(1).collect::<Vec<_>>().join("</form>");
        all.push((format!("the page {search}"), text));
    }
    for query in ["figs", "tea", "Ann", "Graz", "where does Ann live, and what does she like?"] {
        for more in [json!({}), json!({"tags": ["taste"]}), json!({"limit": 50})] {
            let mut said = json!({"query": query});
            said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let found = gateway.post("/v1/memory/search", key, said.to_string());
            assert_eq!(found.status, 200, "{}", found.text());
            all.push((format!("a search {said}"), found.text()));
        }
    }
    for path in ["", "?tag=taste", "?limit=1"] {
        let found = gateway.get(&format!("/v1/memory/{member}{path}"), key);
        all.push((format!("the list {path}"), found.text()));
    }
    let graph = gateway.get(&format!("/v1/memory/graph/{member}/entities"), key);
    all.push(("the graph".to_owned(), graph.text()));
    all
}

fn is_nowhere(doors: &[(String, String)], words: &[&str]) {
    for (door, said) in doors {
        for word in words {
            assert!(!said.contains(word), "{door} has {word}: {said}");
        }
    }
}

fn is_somewhere(doors: &[(String, String)], word: &str) -> usize {
    doors.iter().filter(|(_, said)| said.contains(word)).count()
}

fn is_forgotten(gateway: &Gateway) {
    let (tab, key) = Tab::sign_up(gateway, "ann@example.com");
    let (access, _) = sign_in(gateway, "ann@example.com");
    let me = gateway.get("/v1/me", &access).json();
    let member = me["member"].as_str().unwrap().to_owned();
    let store = |text: &str, tag: &str| {
        let said = json!({"text": text, "tags": [tag]});
        let kept = gateway.post("/v1/memory/store", &key, said.to_string());
        assert_eq!(kept.status, 200, "{}", kept.text());
        kept.json()["id"].as_str().unwrap().to_owned()
    };
    let figs = store("Ann likes figs from Smyrna", "taste");
    let tea = store("Ann likes tea", "taste");
    store("Ann lives in Graz", "home");
    let told = || doors(gateway, &tab, &key, &member);
    for word in ["figs from Smyrna", "Ann likes tea", "Ann lives in Graz"] {
        // The page, a search and the list at least.
        assert!(is_somewhere(&told(), word) >= 3, "{word}: {:?}", told());
    }
    // One, on its page; the others stay.
    let page = tab.get("/console/memory");
    let path = format!("/console/memory/{figs}/forget");
    assert_eq!(tab.submit(&page, &path, &[]).leads_to(), "/console/memory?done=forgotten");
    is_nowhere(&told(), &["Smyrna", &figs]);
    assert!(is_somewhere(&told(), "Ann likes tea") >= 3, "{:?}", told());
    // Another, by the interface.
    let gone = with(gateway, "DELETE", &format!("/v1/memory/{member}/{tea}"), &key, &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.text());
    is_nowhere(&told(), &["Smyrna", "Ann likes tea", &tea]);
    assert!(is_somewhere(&told(), "Ann lives in Graz") >= 3, "{:?}", told());
    // All.
    store("Ann works at Acme Corp", "work");
    let typed = &[("name", "ann@example.com")];
    let gone = tab.fill("/console/memory", "/console/memory/forget", typed);
    assert_eq!(gone.leads_to(), "/console/memory?done=forgotten", "{}", gone.text);
    is_nowhere(&told(), &["Smyrna", "Ann likes", "Ann lives", "Acme Corp", "mem_"]);
}

#[test]
fn what_is_forgotten_is_on_no_page_and_in_no_search() {
    is_forgotten(&Gateway::start(OPEN));
}

#[test]
fn what_is_forgotten_is_on_no_page_and_in_no_search_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    is_forgotten(&Gateway::start(&format!("[store]\nurl = \"{}\"\n{OPEN}", postgres.url)));
}
