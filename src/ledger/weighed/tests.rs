use super::*;
use crate::catalogue::{ApiKey, Sources, builtin, load};

/// All that we know.
fn catalogue() -> Catalogue {
    let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
    for id in sources.files.iter().filter_map(|file| file.id.clone()).collect::<Vec<_>>() {
        sources.keys.insert(id, vec![ApiKey::new("k".into(), 1.0)]);
    }
    load(sources).unwrap()
}

/// Every effort of every model at its first provider, each with numbers of its own.
fn scored(catalogue: &Catalogue) -> impl Iterator<Item = Scored<'_>> {
    let models = catalogue.models().iter().filter(|model| !model.deployments.is_empty());
    models.enumerate().flat_map(|(place, model)| {
        let number = i16::try_from(place).unwrap();
        let efforts = [None, Some(Effort::Low)].into_iter();
        efforts.take(place % 2 + 1).map(move |effort| Scored {
            model: &model.id,
            provider: &model.deployments[0].provider.id,
            effort,
            quality: 1_000 - u16::try_from(place).unwrap(),
            cost: Nanos(1_900_000 - i64::from(number)),
            tokens: 900 + u32::try_from(place).unwrap(),
            level: number - 200,
            sd: number % 60,
            moved: number % 3,
            verdict: Verdict::ALL[place % Verdict::ALL.len()],
        })
    })
}

const TAKEN: PromptEstimate = PromptEstimate {
    ease: -123,
    unsure: 80,
    need: 345,
    thinking: 150,
    novelty: 40,
    belief: -1,
    everyday: 100,
};

#[test]
fn sixteen_candidates_are_read_back_from_four_hundred_bytes() {
    let catalogue = catalogue();
    let all: Vec<_> = scored(&catalogue).collect();
    for some in all.chunks_exact(MOST_CANDIDATES) {
        let weighed = Weighed::pack(&TAKEN, 340, 500, some.iter().copied());
        let line = serde_json::to_string(&weighed).unwrap();
        assert!(",\"weighed\":".len() + line.len() <= 400, "{}: {line}", line.len());
        let back: Weighed = serde_json::from_str(&line).unwrap();
        assert_eq!(back, weighed);
        let record = back.read(&catalogue).unwrap();
        assert_eq!((record.taken, record.considered, record.more), (TAKEN, 340, 484));
        assert_eq!(record.candidates.len(), MOST_CANDIDATES);
        for (one, was) in record.candidates.iter().zip(some) {
            let names = (one.model.as_deref(), one.provider.as_deref(), one.effort.as_deref());
            let effort = was.effort.map(Effort::as_str);
            assert_eq!(names, (Some(was.model), Some(was.provider), effort));
            assert_eq!((one.quality, one.cost, one.tokens), (was.quality, was.cost, was.tokens));
            assert_eq!((one.level, one.sd, one.moved), (was.level, was.sd, was.moved));
            assert_eq!(one.verdict, was.verdict.as_str());
        }
    }
}

#[test]
fn what_has_no_room_is_counted() {
    let catalogue = catalogue();
    let long = scored(&catalogue).map(|one| Scored {
        cost: Nanos(i64::MAX),
        tokens: u32::MAX,
        sd: i16::MAX,
        moved: i16::MIN,
        ..one
    });
    let weighed = Weighed::pack(&PromptEstimate::default(), 0, 40, long);
    let line = serde_json::to_string(&weighed).unwrap();
    assert!(",\"weighed\":".len() + line.len() <= 400, "{}", line.len());
    let record = weighed.read(&catalogue).unwrap();
    assert!(record.candidates.len() > 8, "{record:?}");
    assert_eq!(record.candidates.len() + record.more as usize, 40);
    assert_eq!(record.candidates[0].cost, Nanos(i64::MAX));
}

#[test]
fn no_two_of_the_catalogue_are_called_the_same() {
    let catalogue = catalogue();
    let all = names(&catalogue);
    let pairs = catalogue
        .models()
        .iter()
        .flat_map(|model| model.deployments.iter().map(|one| (&*model.id, &*one.provider.id)));
    let pairs: std::collections::BTreeSet<_> = pairs.collect();
    assert_eq!(all.len(), pairs.len());
}

#[test]
fn a_model_that_is_gone_has_no_name_and_what_is_cut_off_is_not_read() {
    let catalogue = catalogue();
    let one = Scored { model: "gone", ..scored(&catalogue).next().unwrap() };
    let weighed = Weighed::pack(&TAKEN, 1, 1, std::iter::once(one));
    let record = weighed.read(&catalogue).unwrap();
    assert_eq!((record.candidates.len(), &record.candidates[0].model), (1, &None));
    let Weighed::Packed(bytes) = weighed else { panic!("packed") };
    let whole = bytes.len();
    for end in 0..whole {
        let read = Weighed::Packed(bytes[..end].to_vec()).read(&catalogue);
        assert!(read.is_none_or(|read| read.candidates.is_empty()), "{end} of {whole}");
    }
    assert_eq!(Weighed::Packed(vec![FORM + 1]).read(&catalogue), None);
}

#[test]
fn lines_of_before_are_still_read() {
    let line = r#"{"taken":{"ease":-40},"considered":3,"candidates":[{"model":"m","provider":"p","quality":900,"cost":12,"tokens":7,"level":10,"sd":3,"verdict":"chosen"}]}"#;
    let weighed: Weighed = serde_json::from_str(line).unwrap();
    let record = weighed.read(&Catalogue::default()).unwrap();
    assert_eq!((record.taken.ease, record.more), (-40, 0));
    assert_eq!(record.candidates[0].model.as_deref(), Some("m"));
    let again = serde_json::to_string(&weighed).unwrap();
    assert_eq!(serde_json::from_str::<Weighed>(&again).unwrap(), weighed);
}
