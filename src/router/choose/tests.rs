//! Choices over one made-up catalogue, which all of them share: longer than most files for that.

use std::collections::HashMap;

use super::*;
use crate::base::money::Nanos;
use crate::catalogue::Mode;
use crate::catalogue::{
    Deployment, DeploymentId, RatesEntry, Sources, Tier, TokenKind, builtin, load,
};
use crate::router::{Dial, DialWish, Health, RankedSeat};
use crate::wire::vocab::{Effort, Part, Request, Role, Turn};

fn catalogue() -> Catalogue {
    let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
    for file in &sources.files {
        let id = file.id.clone().unwrap();
        sources.keys.insert(id, vec![crate::catalogue::ApiKey::new("k".into(), 1.0)]);
    }
    load(sources).unwrap()
}

/// 2026-11-25: prices and ends are those of this day.
const NOW: Timestamp = Timestamp(1_795_564_800_000);

struct House {
    catalogue: Catalogue,
    predictor: Predictor,
}

impl House {
    fn new() -> Self {
        let catalogue = catalogue();
        let predictor = Predictor::new(Predictor::builtin().unwrap(), &catalogue);
        Self { catalogue, predictor }
    }

    fn choice(&self) -> CandidatePool<'_> {
        CandidatePool {
            catalogue: &self.catalogue,
            allows: &|_| true,
            health: &|_| Health::default(),
            predictor: &self.predictor,
            now: NOW,
            corrections: None,
            pays: &|_| Nanos(0),
            thorough: true,
            before: None,
            explore: None,
        }
    }

    fn chat_models(&self) -> usize {
        self.catalogue.models().iter().filter(|model| model.mode == Mode::Chat).count()
    }

    fn decide(&self, wish: impl Into<DialWish>, text: &str) -> Decision {
        self.decide_needing(wish, text, |_| {}).unwrap()
    }

    fn decide_needing(
        &self,
        wish: impl Into<DialWish>,
        text: &str,
        needing: impl Fn(&mut Needs),
    ) -> Result<Decision, Error> {
        let request = asking(text);
        let mut needs = Needs::of(&request);
        needing(&mut needs);
        decide_auto(wish.into(), &needs, &self.predictor.demand(&request), &self.choice())
    }
}

fn asking(text: &str) -> Request {
    Request { turns: vec![Turn::new(Role::User, vec![Part::text(text)])], ..Request::default() }
}

fn first(decision: &Decision) -> RankedSeat {
    decision.explanation.as_ref().unwrap().kept[0]
}

const PROMPTS: [&str; 8] = [
    "Hello",
    "Prove that there are infinitely many primes, step by step.",
    "refactor this class: ```python\nclass A:\n    def f(self): pass\n```",
    "Which of these is a mammal?\nA. trout\nB. bat\nC. crow\nD. newt\nAnswer:",
    "A train leaves at 9:40 and arrives at 13:05 after a stop of 25 minutes. How long did it run?",
    "Translate into French: the cat sits on the mat.",
    "Write a haiku about rain.",
    "目前最通用的楷书印刷体是什么？",
];

#[test]
fn a_dearer_dial_never_lowers_predicted_quality() {
    let house = House::new();
    for text in PROMPTS {
        let mut before = 0.0;
        for at in 0..=50 {
            let dial = Dial::new(f64::from(at) / 50.0).unwrap();
            let quality = first(&house.decide(dial, text)).quality;
            assert!(quality >= before, "{text} at {at}: {quality} < {before}");
            before = quality;
        }
    }
}

#[test]
fn a_price_rise_never_wins_a_model_requests() {
    let house = House::new();
    let wins = |house: &House, model: &str| {
        let chosen = |text: &&&str| &*house.decide(Dial::BALANCED, text).steps[0].model.id == model;
        PROMPTS.iter().filter(chosen).count()
    };
    let chosen: Vec<Box<str>> = PROMPTS
        .iter()
        .map(|text| house.decide(Dial::BALANCED, text).steps[0].model.id.clone())
        .collect();
    for model in chosen {
        let mut before = wins(&house, &model);
        for factor in [2.0, 5.0, 20.0] {
            let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
            for file in &mut sources.files {
                let id = file.id.clone().unwrap();
                sources.keys.insert(id, vec![crate::catalogue::ApiKey::new("k".into(), 1.0)]);
                for one in file.deployments.iter_mut().filter(|one| *one.model == *model) {
                    one.usd_per_million = one.usd_per_million.map(|usd| usd.scaled(factor));
                    let prices = std::mem::take(&mut one.prices).into_iter();
                    one.prices = prices.map(|price| price.scaled(Some(factor))).collect();
                }
            }
            let catalogue = load(sources).unwrap();
            let predictor = Predictor::new(Predictor::builtin().unwrap(), &catalogue);
            let now = wins(&House { catalogue, predictor }, &model);
            assert!(now <= before, "{model} at {factor} times its price");
            before = now;
        }
    }
}

#[test]
fn hard_requirements_are_never_broken() {
    let house = House::new();
    for dial in [Dial::CHEAP, Dial::BALANCED, Dial::BEST] {
        let decision = house.decide_needing(dial, "Look", |needs| {
            needs.capabilities.add(Capability::Vision);
            needs.capabilities.add(Capability::Tools);
            needs.input_tokens = 150_000;
        });
        for step in &decision.unwrap().steps {
            assert!(step.model.capabilities.has(Capability::Vision));
            assert!(step.model.capabilities.has(Capability::Tools));
            assert!(step.model.context_tokens >= 150_000);
        }
    }
}

#[test]
fn the_same_facts_give_the_same_decision() {
    let (one, other) = (House::new(), House::new());
    for text in PROMPTS {
        let (one, other) = (one.decide(Dial::BALANCED, text), other.decide(Dial::BALANCED, text));
        let names = |decision: &Decision| -> Vec<Box<str>> {
            decision.steps.iter().map(|step| step.model.id.clone()).collect()
        };
        assert_eq!(names(&one), names(&other));
        assert_eq!(first(&one), first(&other));
    }
}

#[test]
fn what_nobody_can_do_is_said_so() {
    let house = House::new();
    let error = house.decide_needing(Dial::BEST, "x", |needs| needs.input_tokens = 1 << 40);
    assert_eq!(error.unwrap_err().kind, Kind::Unsupported);
}

#[test]
fn no_more_is_spent_than_allowed() {
    let house = House::new();
    let free = first(&house.decide(Dial::BEST, PROMPTS[1])).cost;
    let most = Nanos(free.0 / 10);
    let wish = DialWish { dial: Dial::BEST, max_cost: Some(most), sold: None };
    let decision = house.decide(wish, PROMPTS[1]);
    let explanation = decision.explanation.unwrap();
    assert!(explanation.kept.iter().all(|one| one.cost <= most));
    assert!(explanation.rejected.iter().any(|(_, reason)| *reason == "dearer than allowed"));
    let nothing = DialWish { dial: Dial::BEST, max_cost: Some(Nanos(0)), sold: None };
    // But for models that an operator runs without a price.
    let costs = |one: &Deployment| {
        one.prices.rates(NOW, 0).is_some_and(|rates| rates.of(TokenKind::Output).0 > 0)
    };
    let paid = |model: &Model| model.deployments.iter().all(|one| costs(one));
    let request = asking(PROMPTS[1]);
    let choice = CandidatePool { allows: &paid, ..house.choice() };
    let told =
        decide_auto(nothing, &Needs::of(&request), &house.predictor.demand(&request), &choice);
    assert!(told.is_err_and(|error| error.code.as_deref() == Some("max_cost_too_low")));
}

#[test]
fn the_floor_of_quality_is_kept() {
    let house = House::new();
    for text in PROMPTS {
        for dial in [Dial::CHEAP, Dial::BALANCED, Dial::BEST] {
            let decision = house.decide(dial, text);
            let kept = &decision.explanation.as_ref().unwrap().kept;
            let best = kept.iter().map(|one| one.quality).fold(0.0, f32::max);
            assert!(f64::from(kept[0].quality) >= f64::from(best) * dial.floor());
        }
    }
}

#[test]
fn a_plan_without_a_tier_never_gets_it() {
    let house = House::new();
    let request = asking(PROMPTS[1]);
    let choice = CandidatePool { allows: &|model| model.tier <= Tier::Budget, ..house.choice() };
    let demand = house.predictor.demand(&request);
    let decision = decide_auto(Dial::BEST.into(), &Needs::of(&request), &demand, &choice).unwrap();
    assert!(decision.steps.iter().all(|step| step.model.tier <= Tier::Budget));
}

#[test]
fn what_an_account_found_out_moves_its_choice() {
    let house = House::new();
    let request = asking(PROMPTS[1]);
    let demand = house.predictor.demand(&request);
    let needs = Needs::of(&request);
    let before = decide_auto(Dial::BALANCED.into(), &needs, &demand, &house.choice()).unwrap();
    let place = first(&before).place;
    let worse = HashMap::from([(place, -3.0)]);
    let choice = CandidatePool { corrections: Some(&worse), ..house.choice() };
    let after = decide_auto(Dial::BALANCED.into(), &needs, &demand, &choice).unwrap();
    assert_ne!(first(&after).place, place);
}

#[test]
fn a_conversation_stays_where_its_prompt_is_cached_or_where_it_wishes_to() {
    let house = House::new();
    let request = asking(PROMPTS[1]);
    let demand = house.predictor.demand(&request);
    let mut needs = Needs::of(&request);
    needs.input_tokens = 40_000;
    let decide = |before: Option<PriorAnswerer>| {
        let choice = CandidatePool { before, ..house.choice() };
        first(&decide_auto(Dial::BALANCED.into(), &needs, &demand, &choice).unwrap())
    };
    let fresh = decide(None);
    let all = decide_auto(Dial::BALANCED.into(), &needs, &demand, &house.choice()).unwrap();
    let caching = |one: &&RankedSeat| {
        let model = &house.catalogue.models()[one.place];
        let rates = model.deployments[one.deployment].prices.rates(NOW, 0).unwrap();
        let cheaper = rates.of(TokenKind::CacheRead) < rates.of(TokenKind::Input);
        model.capabilities.has(Capability::PromptCache) && cheaper
    };
    let kept = &all.explanation.unwrap().kept;
    let other = kept.iter().filter(caching).find(|one| one.place != fresh.place).unwrap();
    // Read from the cache, it costs less than read afresh; a short prompt is not cached.
    let place = other.place;
    let cost = |prefix_tokens| {
        let before = PriorAnswerer { place, prefix_tokens, stays: false };
        let choice = CandidatePool { before: Some(before), ..house.choice() };
        let decision = decide_auto(Dial::BALANCED.into(), &needs, &demand, &choice).unwrap();
        let kept = decision.explanation.unwrap().kept;
        kept.iter().find(|one| one.place == place).unwrap().cost
    };
    assert!(cost(39_000) < other.cost && cost(1_000) == other.cost);
    // Whoever wishes to stay does, as long as the model will do.
    let before = PriorAnswerer { place, prefix_tokens: 0, stays: true };
    assert!(!other.above_floor || decide(Some(before)).place == place);
}

#[test]
fn a_draw_finds_something_out_and_stays_good() {
    let house = House::new();
    let request = asking(PROMPTS[1]);
    let demand = house.predictor.demand(&request);
    let mut seen = std::collections::BTreeSet::new();
    for draw in 0..8 {
        let choice = CandidatePool { explore: Some(draw), ..house.choice() };
        let wish = Dial::BALANCED.into();
        let decision = decide_auto(wish, &Needs::of(&request), &demand, &choice).unwrap();
        let explanation = decision.explanation.as_ref().unwrap();
        assert!(explanation.kept[0].above_floor);
        let told = explanation.told(&house.catalogue, &house.predictor);
        assert_eq!(told.kept[0].model, &*decision.steps[0].model.id);
        seen.insert(told.kept[0].model.to_owned());
    }
    assert!(seen.len() > 1, "{seen:?}");
    // A session that stays is left alone.
    let usual = first(&house.decide(Dial::BALANCED, PROMPTS[1])).place;
    for draw in 0..8 {
        let before = Some(PriorAnswerer { place: usual, prefix_tokens: 0, stays: true });
        let choice = CandidatePool { explore: Some(draw), before, ..house.choice() };
        let wish = Dial::BALANCED.into();
        let decision = decide_auto(wish, &Needs::of(&request), &demand, &choice).unwrap();
        assert_eq!(first(&decision).place, usual);
    }
}

/// Case, spaces and punctuation at the ends say nothing of how hard a question is.
#[test]
fn another_spelling_seldom_changes_the_decision() {
    let house = House::new();
    let words = ["river", "budget", "theorem", "python", "garden", "contract", "protein", "orbit"];
    let asks = [
        "Explain {} to a child.",
        "What are the main risks of {} today, and how would you weigh them?",
        "Write a function about {} and prove that it terminates.",
        "Summarise what is known about {}.",
        "Which {} is larger? Compute it step by step: 17 * 23 + 4.",
    ];
    let (mut all, mut changed) = (0, 0);
    for ask in asks {
        for word in words {
            let text = ask.replace("{}", word);
            let chosen = |text: &str| house.decide(Dial::BALANCED, text).steps[0].model.id.clone();
            let plain = chosen(&text);
            for other in [
                format!("  {text}\n"),
                text.replace(' ', "  "),
                text.to_uppercase().to_lowercase(),
                format!("{text} Thanks!"),
                format!("Please: {text}"),
            ] {
                all += 1;
                if chosen(&other) != plain {
                    eprintln!("{other:?}: {} not {plain}", chosen(&other));
                }
                changed += usize::from(chosen(&other) != plain);
            }
        }
    }
    assert!(changed * 20 < all, "{changed} of {all}");
}

/// Padding can make a prompt look harder, but what that may cost is bounded: `auto:cheap` and
/// `auto` stay far from the dearest model.
#[test]
fn padding_cannot_force_the_dearest_model() {
    let house = House::new();
    let dearest = |decision: &Decision| {
        let kept = &decision.explanation.as_ref().unwrap().kept;
        (kept[0].cost, kept.iter().map(|one| one.cost).max().unwrap())
    };
    for pad in
        ["prove theorem ", "∀ε>0 ∃δ ", "$$\\frac{1}{2}$$ ", "def f(x): ", "professional law "]
    {
        for times in [1, 10, 100, 1000] {
            let text = format!("{}{}", PROMPTS[0], pad.repeat(times));
            for dial in [Dial::CHEAP, Dial::BALANCED] {
                let (cost, most) = dearest(&house.decide(dial, &text));
                assert!(cost.0 * 4 < most.0, "{pad} x {times}: {cost:?} of {most:?}");
            }
        }
    }
}

/// A model of many providers at one price.
fn twins() -> House {
    let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
    for file in &mut sources.files {
        for one in file.deployments.iter_mut().filter(|one| one.model == "llama-3.3-70b") {
            one.prices.clear();
            one.usd_per_million =
                Some(RatesEntry { input: Some(0.15), output: Some(0.6), ..RatesEntry::default() });
        }
        let id = file.id.clone().unwrap();
        sources.keys.insert(id, vec![crate::catalogue::ApiKey::new("k".into(), 1.0)]);
    }
    let catalogue = load(sources).unwrap();
    let predictor = Predictor::new(Predictor::builtin().unwrap(), &catalogue);
    House { catalogue, predictor }
}

#[test]
fn of_a_models_deployments_the_one_with_room_and_the_shorter_wait_is_asked_first() {
    let house = twins();
    let model = house.catalogue.model("llama-3.3-70b").unwrap();
    let ids: Vec<_> = model.deployments.iter().map(|one| one.id).collect();
    assert!(ids.len() >= 2, "the catalogue has one provider of it");
    let asked = |state: HealthOf<'_>| {
        let choice = CandidatePool {
            health: state,
            allows: &|model| &*model.id == "llama-3.3-70b",
            ..house.choice()
        };
        let request = asking("Hello");
        let demand = house.predictor.demand(&request);
        let decision =
            decide_auto(Dial::BALANCED.into(), &Needs::of(&request), &demand, &choice).unwrap();
        let asked: Vec<_> = decision.steps.iter().map(|step| step.deployment.id).collect();
        let kept = first(&decision);
        assert_eq!(model.deployments[kept.deployment].id, asked[0], "what is explained is done");
        asked
    };
    assert_eq!(asked(&|_| Health::default())[..2], ids[..2], "the operator's order");
    let slow =
        |id| Health { wait_seconds: if id == ids[1] { 0.5 } else { 3.0 }, ..Health::default() };
    assert_eq!(asked(&slow)[..2], [ids[1], ids[0]]);
    let strained = |id| Health { strained: id == ids[1], ..slow(id) };
    assert_eq!(asked(&strained)[..2], ids[..2], "no room is worse than a wait");
    let down = |id| Health { passing: id != ids[0], ..strained(id) };
    assert_eq!(asked(&down)[0], ids[2]);
}

#[test]
fn waiting_counts_as_money_and_leaves_the_dial_in_order() {
    let house = House::new();
    let slow = |id: DeploymentId| Health {
        wait_seconds: f32::from(u8::try_from(id.0 % 7).unwrap()),
        ..Health::default()
    };
    let mut moved = 0;
    for text in PROMPTS {
        let request = asking(text);
        let demand = house.predictor.demand(&request);
        let choice = CandidatePool { health: &slow, ..house.choice() };
        let mut before = 0.0;
        for at in 0..=50 {
            let dial = Dial::new(f64::from(at) / 50.0).unwrap();
            let decision =
                decide_auto(dial.into(), &Needs::of(&request), &demand, &choice).unwrap();
            let kept = first(&decision);
            assert!(kept.quality >= before, "{text} at {at}");
            before = kept.quality;
            moved += usize::from(kept.place != first(&house.decide(dial, text)).place);
        }
    }
    assert!(moved > 0, "no wait ever mattered");
}

proptest::proptest! {
    /// To look at few deployments decides as looking at all of them does.
    #[test]
    fn looking_at_few_decides_as_looking_at_all(seed in 0_u64..10_000, dial in 0.0..1.0_f64) {
        let house = house_of_all();
        let text = PROMPTS[usize::try_from(seed).unwrap() % PROMPTS.len()];
        let request = asking(text);
        let demand = house.predictor.demand(&request);
        // Some are down, some make callers wait, some have little room left.
        let health = |id: DeploymentId| {
            let drawn = fastrand::Rng::with_seed(seed ^ (id.0 as u64)).u64(..);
            Health {
                passing: !drawn.is_multiple_of(5),
                strained: drawn.is_multiple_of(7),
                wait_seconds: f32::from(u8::try_from(drawn % 11).unwrap()) / 3.0,
                ..Health::default()
            }
        };
        let wish = DialWish::from(Dial::new(dial).unwrap());
        let told = |thorough| {
            let choice = CandidatePool { health: &health, thorough, ..house.choice() };
            let decision = decide_auto(wish, &Needs::of(&request), &demand, &choice).unwrap();
            let name = |step: &Step| (step.model.id.clone(), step.deployment.id);
            decision.steps.iter().map(name).collect::<Vec<_>>()
        };
        proptest::prop_assert_eq!(told(true), told(false));
    }
}

/// Nobody is asked while another is expected to do better at no higher cost.
fn dominated(decision: &Decision) -> Option<(RankedSeat, RankedSeat)> {
    let kept = &decision.explanation.as_ref().unwrap().kept;
    let better = |one: &&RankedSeat| one.quality > kept[0].quality && one.cost <= kept[0].cost;
    kept.iter().find(better).map(|better| (kept[0], *better))
}

proptest::proptest! {
    /// Whatever may be asked, of whatever length, whoever is down.
    #[test]
    fn no_choice_is_dominated(
        seed in 0_u64..10_000, dial in 0.0..1.0_f64, input in 1_u64..200_000, most in 16_u64..20_000,
    ) {
        let house = house_of_all();
        let text = PROMPTS[usize::try_from(seed).unwrap() % PROMPTS.len()];
        let request = asking(text);
        let mut needs = Needs::of(&request);
        needs.input_tokens = input;
        needs.max_output_tokens = seed.is_multiple_of(2).then_some(most);
        let drawn = |id: u64| fastrand::Rng::with_seed(seed ^ id).u64(..);
        let health = |id: DeploymentId| {
            Health { passing: !drawn(id.0 as u64).is_multiple_of(5), ..Health::default() }
        };
        let allows = |model: &Model| !drawn(model.id.len() as u64).is_multiple_of(4);
        let choice = CandidatePool { health: &health, allows: &allows, ..house.choice() };
        let demand = house.predictor.demand(&request);
        let wish = DialWish::from(Dial::new(dial).unwrap());
        if let Ok(decision) = decide_auto(wish, &needs, &demand, &choice) {
            proptest::prop_assert_eq!(dominated(&decision), None);
        }
    }
}

#[test]
fn an_effort_is_chosen_with_the_model_and_the_callers_own_is_kept() {
    let house = House::new();
    let request = asking(
        "Let f be a continuous function from the reals to the reals with f(f(x)) = -x^3. Show that no \
         such f exists, or construct one and prove that it is one. Then settle the same question for \
         f(f(x)) = x^3, with every step justified.",
    );
    let demand = house.predictor.demand(&request);
    let only = |model: &Model| &*model.id == "gpt-5.5";
    let choice = CandidatePool { allows: &only, ..house.choice() };
    let decide = |dial: Dial, effort: Option<Effort>| {
        let needs = Needs { effort, ..Needs::of(&request) };
        decide_auto(dial.into(), &needs, &demand, &choice).unwrap()
    };
    let (cheap, best) = (decide(Dial::CHEAP, None), decide(Dial::BEST, None));
    assert!(first(&cheap).at < first(&best).at, "{:?} {:?}", first(&cheap), first(&best));
    assert_eq!(best.steps[0].effort, first(&best).effort);
    let line = cheap.line(&cheap.steps[0]).unwrap();
    let effort = cheap.steps[0].effort.unwrap();
    assert!(line.ends_with(&format!("; effort {}", effort.as_str())), "{line}");
    assert_eq!(best.explanation.as_ref().unwrap().considered, house.chat_models());
    for (asked, at) in [(Effort::Low, Effort::Low), (Effort::Minimal, Effort::Low)] {
        let kept = first(&decide(Dial::BEST, Some(asked)));
        assert_eq!((kept.effort, kept.at), (None, Some(at)));
    }
}

#[test]
fn what_the_caller_pays_is_weighed() {
    let house = House::new();
    let request = asking(PROMPTS[0]);
    let demand = house.predictor.demand(&request);
    let choice = CandidatePool {
        pays: &|tier| Nanos(if tier >= Tier::Premium { 500_000_000 } else { 0 }),
        ..house.choice()
    };
    let needs = Needs::of(&request);
    let decision = decide_auto(Dial::new(0.9).unwrap().into(), &needs, &demand, &choice).unwrap();
    assert!(decision.steps[0].model.tier < Tier::Premium);
}

/// One for all cases: to load it takes longer than to decide.
fn house_of_all() -> &'static House {
    static HOUSE: std::sync::OnceLock<House> = std::sync::OnceLock::new();
    HOUSE.get_or_init(House::new)
}
