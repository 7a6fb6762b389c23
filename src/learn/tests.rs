//! Training on a few made-up rows: the same rows and seed give the same file.

use super::*;
use crate::router::neural::Ability;
use crate::router::neural::{Prompt, Vectors, Weights};

fn rows() -> Data {
    let mut lines = String::new();
    for number in 0..60 {
        let (domain, prompt, good) = if number % 2 == 0 {
            ("sums", format!("What is {number} plus {number}?"), 1)
        } else {
            ("proofs", format!("Prove the theorem of number {number} by induction."), 0)
        };
        let row = format!(
            "{{\"id\":\"{number}\",\"source\":\"made\",\"domain\":\"{domain}\",\"prompt\":\"{prompt}\",\
             \"scores\":{{\"small-7b\":{good},\"large-70b\":1}},\"tokens_out\":{{\"small-7b\":50}}}}\n"
        );
        lines.push_str(&row);
    }
    let folder = std::env::temp_dir().join(format!("rows-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("rows.jsonl");
    std::fs::write(&path, lines).unwrap();
    let data = Data::read(&[path]).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    data
}

#[test]
fn the_same_rows_and_seed_give_the_same_file() {
    let data = rows();
    let vectors = Vectors::empty();
    let material = Material { data: &data, dailies: &[], vectors: &vectors };
    let once = train(material, &Recipe::default(), "made", 1);
    assert_eq!(once.to_bytes(), train(material, &Recipe::default(), "made", 1).to_bytes());
    assert_ne!(once.to_bytes(), train(material, &Recipe::default(), "made", 2).to_bytes());
    let read = Weights::from_bytes(&once.to_bytes()).unwrap();
    assert_eq!(read, once);
    // What was to be learned was learned.
    let chance = |text: &str, name: &str| {
        let ability: Ability = read.ability(name, None, None);
        read.logit(&read.view(Prompt::new(text)), &ability)
    };
    let proof = "Prove the theorem of number 7 by induction.";
    assert!(chance(proof, "large-70b") > chance(proof, "small-7b"));
}
