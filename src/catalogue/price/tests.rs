//! Bills: what must hold of all of them, and where one price ends and the next begins.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base::calendar;
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::wire::vocab::{Class, RareUsage, Usage};

/// A day with nothing special to it: a Wednesday.
const DAY: &str = "2026-11-25";
const HOUR_MS: i64 = 3_600_000;

fn at(day: &str, ms: i64) -> Timestamp {
    Timestamp(calendar::read(day).unwrap().0 + ms)
}

/// Prices as a file says them.
fn prices_of(list: Value, region: Option<f64>) -> Prices {
    let entries: Vec<PriceEntry> = serde_json::from_value(list).unwrap();
    let read = entries.iter().map(|entry| entry.read().unwrap()).collect();
    Prices::new(read, regional(region).unwrap())
}

fn prices(list: Value) -> Prices {
    prices_of(list, None)
}

/// Of text: input and output.
fn text(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

fn bill(prices: &Prices, usage: &Usage, day: &str) -> i64 {
    prices.bill(usage, Pictures::default(), at(day, 0)).0
}

const NAMES: [&str; 14] = [
    "input",
    "output",
    "reasoning_out",
    "cache_read",
    "cache_write",
    "cache_write_5m",
    "cache_write_1h",
    "audio_in",
    "audio_out",
    "image_in",
    "image_out",
    "video_in",
    "cache_read_audio",
    "cache_read_image",
];

/// Fourteen prices, some of them unsaid.
fn rates() -> impl Strategy<Value = Vec<Option<u32>>> {
    proptest::collection::vec(proptest::option::of(0..100_000_u32), NAMES.len())
}

/// Thousandths of a dollar as dollars.
fn named(prices: &[Option<u32>]) -> Value {
    let said = NAMES.iter().zip(prices).filter_map(|(name, price)| Some((*name, (*price)?)));
    said.map(|(name, price)| (name.to_owned(), json!(f64::from(price) / 1e3))).collect()
}

fn usage() -> impl Strategy<Value = Usage> {
    proptest::collection::vec(prop_oneof![Just(0), 0..3_000_000_u64], 14).prop_map(|counts| {
        let of = |index: usize| counts.get(index).copied().unwrap_or(0);
        Usage {
            input: of(0),
            cache_read: of(1),
            cache_write: of(2),
            output: of(3),
            thought: of(4),
            more: RareUsage {
                cache_write_long: of(5),
                audio_in: of(6),
                audio_out: of(7),
                image_in: of(8),
                image_out: of(9),
                video_in: of(10),
                cache_read_audio: of(11),
                cache_read_image: of(12),
                searches: of(13) % 10,
                ..RareUsage::default()
            },
            asides: Vec::new(),
            raw: None,
        }
    })
}

/// Both together, of the same class.
fn sum(one: &Usage, other: &Usage) -> Usage {
    Usage {
        input: one.input + other.input,
        cache_read: one.cache_read + other.cache_read,
        cache_write: one.cache_write + other.cache_write,
        output: one.output + other.output,
        thought: one.thought + other.thought,
        more: one.more.plus(other.more),
        asides: Vec::new(),
        raw: None,
    }
}

proptest! {
    #[test]
    fn a_dearer_price_never_lowers_a_bill(
        usage in usage(),
        base in rates(),
        above in rates(),
        dearer in proptest::collection::vec(0..1_000_u32, 28),
        search in 0..100_u32,
        most in 0..9_000_000_u64,
    ) {
        let more = |prices: &[Option<u32>], by: &[u32]| -> Vec<Option<u32>> {
            prices.iter().zip(by).map(|(price, by)| price.map(|price| price + by)).collect()
        };
        let of = |base: &[Option<u32>], above: &[Option<u32>], search: u32| prices(json!([{
            "usd_per_million": named(base),
            "above": [{"tokens": most, "usd_per_million": named(above)}],
            "usd_each": {"search": f64::from(search) / 1e3},
        }]));
        let cheap = of(&base, &above, search);
        let dear = of(&more(&base, &dearer[..14]), &more(&above, &dearer[14..]), search + 1);
        prop_assert!(bill(&cheap, &usage, DAY) <= bill(&dear, &usage, DAY));
    }

    #[test]
    fn kinds_of_one_price_cost_what_the_whole_costs(usage in usage(), price in 0..100_000_u32) {
        let usd = f64::from(price) / 1e3;
        let same = prices(json!([{"usd_per_million": {"input": usd, "output": usd}}]));
        let whole = text(usage.total(), 0);
        prop_assert_eq!(bill(&same, &usage, DAY), bill(&same, &whole, DAY));
    }

    #[test]
    fn halves_cost_at_most_a_nano_more(one in usage(), other in usage(), rates in rates()) {
        // A request that thinks may be of another price; here there is one.
        let prices = prices(json!([{"usd_per_million": named(&rates)}]));
        let apart = bill(&prices, &one, DAY) + bill(&prices, &other, DAY);
        let together = bill(&prices, &sum(&one, &other), DAY);
        prop_assert!((0..=1).contains(&(apart - together)), "{apart} {together}");
    }

    #[test]
    fn a_bill_is_exact_and_rounded_up_once(usage in usage(), rates in rates(), class in 0..4_usize) {
        let (times, class) = [
            (1_000_000_i128, Class::Standard),
            (500_000, Class::Flex),
            (1_667_000, Class::Priority),
            // Without a price of its own.
            (1_000_000, Class::Batch),
        ][class];
        let prices = prices_of(json!([
            {"usd_per_million": named(&rates)},
            {"class": "flex", "times": 0.5},
            {"class": "priority", "times": 1.667},
        ]), Some(1.1));
        let mut usage = usage;
        (usage.more.class, usage.more.regional) = (class, true);
        let entry: RatesEntry = serde_json::from_value(named(&rates)).unwrap();
        // Millionths of a nano-USD, times a million for the class and for the region.
        let exact = entry.read().unwrap().exact(&usage) * times * 1_100_000;
        let unit = 1_000_000_000_000_000_000_i128;
        prop_assert_eq!(i128::from(bill(&prices, &usage, DAY)), (exact + unit - 1) / unit);
    }
}

#[test]
fn a_threshold_is_passed_by_the_first_token_beyond_it() {
    let prices = prices(json!([{
        "usd_per_million": {
            "input": 1.0, "output": 1.0, "cache_read": 1.0, "cache_write": 1.0, "audio_in": 1.0,
            "image_in": 1.0, "cache_read_audio": 1.0,
        },
        "above": [
            {"tokens": 300, "usd_per_million": {"input": 5.0}},
            {"tokens": 200, "usd_per_million": {
                "input": 2.0, "output": 3.0, "cache_read": 2.0, "cache_write": 2.0,
                "audio_in": 2.0, "image_in": 2.0, "cache_read_audio": 2.0,
            }},
        ],
    }]));
    // Whatever the prompt is made of, it is as long as all of it; the answer does not count.
    let kinds: [fn(u64) -> Usage; 9] = [
        |input| text(input, 0),
        |cache_read| Usage { cache_read, ..Usage::default() },
        |cache_write| Usage { cache_write, ..Usage::default() },
        |cache_write_long| Usage {
            more: RareUsage { cache_write_long, ..RareUsage::default() },
            ..Usage::default()
        },
        |audio_in| Usage {
            more: RareUsage { audio_in, ..RareUsage::default() },
            ..Usage::default()
        },
        |image_in| Usage {
            more: RareUsage { image_in, ..RareUsage::default() },
            ..Usage::default()
        },
        |video_in| Usage {
            more: RareUsage { video_in, ..RareUsage::default() },
            ..Usage::default()
        },
        |cache_read_audio| Usage {
            more: RareUsage { cache_read_audio, ..RareUsage::default() },
            ..Usage::default()
        },
        |cache_read_image| Usage {
            more: RareUsage { cache_read_image, ..RareUsage::default() },
            ..Usage::default()
        },
    ];
    for (index, of) in kinds.into_iter().enumerate() {
        let with = |tokens: u64| {
            let usage = sum(&of(tokens), &text(0, 10));
            bill(&prices, &usage, DAY)
        };
        assert_eq!(with(200), 200_000 + 10_000, "{index}");
        assert_eq!(with(201), 201 * 2_000 + 30_000, "{index}");
        // The half of it in a cache makes the prompt no shorter.
        let mixed = sum(&of(101), &Usage { cache_read: 100, ..Usage::default() });
        assert_eq!(bill(&prices, &mixed, DAY), 201 * 2_000, "{index}");
    }
    // Kinds that the highest threshold does not name keep the first price, not the one between.
    assert_eq!(bill(&prices, &text(301, 10), DAY), 301 * 5_000 + 10_000);
    let long_answer = text(200, 1_000_000);
    assert_eq!(bill(&prices, &long_answer, DAY), 1_000_200_000);
}

#[test]
fn a_day_begins_and_ends_to_the_millisecond() {
    let prices = prices(json!([
        {"until": "2026-10-20", "usd_per_million": {"input": 1.0}},
        {"from": "2026-10-20", "until": "2026-10-29", "usd_per_million": {"input": 2.0}},
        {"from": "2026-10-29", "usd_per_million": {"input": 3.0}},
    ]));
    let one = text(1_000_000, 0);
    let usd =
        |day: &str, ms: i64| prices.bill(&one, Pictures::default(), at(day, ms)).0 / 1_000_000_000;
    assert_eq!((usd("2026-10-20", -1), usd("2026-10-20", 0)), (1, 2));
    assert_eq!((usd("2026-10-29", -1), usd("2026-10-29", 0)), (2, 3));
    assert_eq!((usd("1970-01-01", 0), usd("2100-01-01", 0)), (1, 3));
}

#[test]
fn a_list_that_has_run_out_is_not_free() {
    let ended = prices(json!([
        {"from": "2026-01-01", "until": "2026-05-12", "usd_per_million": {"input": 1.0}},
    ]));
    assert_eq!(bill(&ended, &text(1_000_000, 0), DAY), 1_000_000_000);
    assert_eq!(bill(&ended, &text(1_000_000, 0), "2025-01-01"), 1_000_000_000);
}

#[test]
fn busy_hours_begin_and_end_to_the_millisecond() {
    let prices = prices(json!([
        {"usd_per_million": {"input": 1.0}},
        {"usd_per_million": {"input": 2.0}, "hours": {
            "zone": "UTC", "windows": ["01:00-04:00", "06:00-10:00"],
            "weekdays": [1, 2, 3, 4, 5], "except": ["2026-10-01"],
        }},
    ]));
    let one = text(1_000_000, 0);
    let busy =
        |day: &str, ms: i64| prices.bill(&one, Pictures::default(), at(day, ms)).0 == 2_000_000_000;
    for (hour, before, after) in
        [(1, false, true), (4, true, false), (6, false, true), (10, true, false)]
    {
        let border = hour * HOUR_MS;
        assert_eq!((busy(DAY, border - 1), busy(DAY, border)), (before, after), "{hour}");
    }
    // From Friday, 27 November, to Monday.
    let seven = 7 * HOUR_MS;
    let week = ["2026-11-27", "2026-11-28", "2026-11-29", "2026-11-30"];
    assert_eq!(week.map(|day| busy(day, seven)), [true, false, false, true]);
    // A Thursday that is a holiday, and its neighbours.
    let days = ["2026-09-30", "2026-10-01", "2026-10-02"];
    assert_eq!(days.map(|day| busy(day, seven)), [true, false, true]);
}

#[test]
fn busy_hours_are_the_makers_own() {
    // Midnight to one on Mondays in Shanghai is 16:00 to 17:00 on Sundays in London.
    let prices = prices(json!([
        {"usd_per_million": {"input": 1.0}},
        {"usd_per_million": {"input": 2.0}, "hours": {
            "zone": "+08:00", "windows": ["00:00-01:00"], "weekdays": [1], "except": ["2026-12-07"],
        }},
    ]));
    let one = text(1_000_000, 0);
    let busy =
        |day: &str, ms: i64| prices.bill(&one, Pictures::default(), at(day, ms)).0 == 2_000_000_000;
    let sunday = "2026-11-29";
    assert_eq!((busy(sunday, 16 * HOUR_MS - 1), busy(sunday, 16 * HOUR_MS)), (false, true));
    assert_eq!((busy(sunday, 17 * HOUR_MS - 1), busy(sunday, 17 * HOUR_MS)), (true, false));
    assert!(!busy("2026-11-30", 16 * HOUR_MS));
    // The holiday is the Monday there, which is a Sunday here.
    assert!(!busy("2026-12-06", 16 * HOUR_MS));
    assert!(busy("2026-12-13", 16 * HOUR_MS));
}

#[test]
fn a_class_costs_its_own_price_or_the_standard_one() {
    let prices = prices(json!([
        {"usd_per_million": {"input": 4.0, "output": 20.0}, "usd_each": {"search": 0.01},
         "above": [{"tokens": 100, "usd_per_million": {"input": 8.0}}]},
        {"class": "flex", "times": 0.5},
        {"class": "priority", "usd_per_million": {"input": 9.0, "output": 40.0}},
        {"class": "batch", "until": "2026-11-01", "times": 0.5},
    ]));
    let of = |class: Class, input: u64, searches: u64| {
        let more = RareUsage { searches, class, ..RareUsage::default() };
        bill(&prices, &Usage { input, more, ..Usage::default() }, DAY)
    };
    assert_eq!(of(Class::Standard, 100, 0), 400_000);
    assert_eq!((of(Class::Flex, 100, 0), of(Class::Flex, 101, 0)), (200_000, 404_000));
    // Its own price has no threshold.
    assert_eq!((of(Class::Priority, 100, 0), of(Class::Priority, 101, 0)), (900_000, 909_000));
    // No price, or none any more.
    for class in [Class::Fast, Class::Ultrafast, Class::Batch] {
        assert_eq!(of(class, 100, 0), 400_000, "{class:?}");
    }
    // A search costs the same in every class, unless the class says otherwise.
    for class in [Class::Standard, Class::Flex, Class::Priority, Class::Fast] {
        assert_eq!(of(class, 0, 3), 30_000_000, "{class:?}");
    }
}

#[test]
fn thinking_may_have_a_price_of_its_own() {
    let prices = prices(json!([
        {"usd_per_million": {"input": 0.4, "output": 1.2}},
        {"thinking": true, "usd_per_million": {"input": 0.4, "output": 4.0}},
    ]));
    assert_eq!(bill(&prices, &text(0, 1_000), DAY), 1_200_000);
    // All of the answer, then.
    let thought = Usage { output: 999, thought: 1, ..Usage::default() };
    assert_eq!(bill(&prices, &thought, DAY), 4_000_000);
    // Or only the thoughts themselves.
    let apart = self::prices(json!([
        {"usd_per_million": {"input": 2.0, "output": 8.0, "reasoning_out": 3.0}},
    ]));
    assert_eq!(bill(&apart, &thought, DAY), 999 * 8_000 + 3_000);
}

#[test]
fn a_region_costs_more_but_not_its_searches() {
    let list = json!([{"usd_per_million": {"input": 1.0}, "usd_each": {"search": 0.01}}]);
    let more = RareUsage { regional: true, searches: 1, ..RareUsage::default() };
    let usage = Usage { input: 1_000, more, ..Usage::default() };
    let elsewhere = sum(
        &text(1_000, 0),
        &Usage { more: RareUsage { searches: 1, ..RareUsage::default() }, ..Usage::default() },
    );
    let uplifted = prices_of(list.clone(), Some(1.1));
    assert_eq!(bill(&uplifted, &usage, DAY), 1_100_000 + 10_000_000);
    assert_eq!(bill(&uplifted, &elsewhere, DAY), 1_000_000 + 10_000_000);
    assert_eq!(bill(&prices(list), &usage, DAY), 1_000_000 + 10_000_000);
}

#[test]
fn pictures_cost_by_size_and_quality_or_by_tokens() {
    let by_piece = prices(json!([{
        "usd_per_million": {"input": 5.0, "output": 10.0, "image_out": 40.0},
        "pictures": [
            {"size": "1536x1024", "usd": 0.05},
            {"size": "1024x1024", "quality": "low", "usd": 0.011},
            {"size": "1024x1024", "quality": "high", "usd": 0.167},
            {"size": "1536x1024", "quality": "low", "usd": 0.016},
        ],
    }]));
    let more = RareUsage { image_out: 1_000, ..RareUsage::default() };
    let usage = Usage { input: 1_000, output: 100, more, ..Usage::default() };
    let of = |prices: &Prices, count: u64, size: Option<&str>, quality: Option<&str>| {
        prices.bill(&usage, Pictures { count, size, quality }, at(DAY, 0)).0
    };
    // Read tokens are charged, written ones are in the picture's price.
    let read = 5_000_000;
    let square = Some("1024x1024");
    assert_eq!(of(&by_piece, 1, square, Some("low")), read + 11_000_000);
    assert_eq!(of(&by_piece, 3, square, Some("high")), read + 3 * 167_000_000);
    assert_eq!(of(&by_piece, 1, Some("1536x1024"), Some("high")), read + 50_000_000);
    assert_eq!(of(&by_piece, 1, Some("1536x1024"), Some("low")), read + 16_000_000);
    assert_eq!(of(&by_piece, 1, Some("1536x1024"), None), read + 50_000_000);
    // Unknown is not cheap.
    assert_eq!(of(&by_piece, 1, square, None), read + 167_000_000);
    assert_eq!(of(&by_piece, 1, Some("9x9"), Some("low")), read + 167_000_000);
    // Nothing was drawn: tokens, as for any answer.
    assert_eq!(of(&by_piece, 0, None, None), read + 1_000_000 + 40_000_000);
    let by_token = prices(json!([
        {"usd_per_million": {"input": 5.0, "output": 10.0, "image_out": 40.0}},
    ]));
    assert_eq!(of(&by_token, 2, square, Some("low")), read + 1_000_000 + 40_000_000);
    let any = prices(json!([{"usd_each": {"image": 0.06}}]));
    assert_eq!(of(&any, 2, None, None), 120_000_000);
    assert_eq!(any.picture(at(DAY, 0), Pictures::default()), Some(Nanos(60_000_000)));
}

#[test]
fn what_no_answer_can_be_is_still_a_bill() {
    let prices = prices(json!([{"usd_per_million": {"input": 1e9}, "usd_each": {"search": 1e9}}]));
    let most = u64::MAX;
    let usage = Usage {
        input: most,
        cache_read: most,
        more: RareUsage { searches: most, cache_write_long: most, ..RareUsage::default() },
        ..Usage::default()
    };
    assert_eq!(bill(&prices, &usage, DAY), i64::MAX);
}
