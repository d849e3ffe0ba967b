//! Options that make no sense: refused by `build`, by name, value and range.

use std::time::Duration;

use larder::{Bucket, BuildError, Builder, KeyEvent};

type Fresh = Builder<u64, u64>;
type Spoil = fn(Fresh) -> Fresh;

fn fresh(name: &str) -> Fresh {
    Bucket::<u64, u64>::builder(name).load(|key: &u64| Ok::<_, String>(*key))
}

const REFUSED: [(&str, &str, Spoil); 25] = [
    ("batch_size", "0", |b| b.batch_size(0)),
    ("queue_capacity", "0", |b| b.queue_capacity(0)),
    ("loader_threads", "0", |b| b.loader_threads(0)),
    ("loader_threads", "1025", |b| b.loader_threads(1_025)),
    ("wait_limit", "0ns", |b| b.wait_limit(Duration::ZERO)),
    ("wait_limit", "s", |b| b.wait_limit(Duration::MAX)),
    ("refresh_every", "0ns", |b| b.refresh_every(Duration::ZERO)),
    ("refresh_every", "s", |b| b.refresh_every(Duration::MAX)),
    ("max_stale", "0ns", |b| b.max_stale(Duration::ZERO)),
    ("max_stale", "s", |b| b.max_stale(Duration::MAX)),
    ("linger", "s", |b| b.linger(Duration::MAX)),
    ("fold_delay", "s", |b| b.fold_delay(Duration::MAX)),
    ("shutdown_limit", "s", |b| b.shutdown_limit(Duration::MAX)),
    ("refresh_jitter", "1.5", |b| b.refresh_jitter(1.5)),
    ("refresh_jitter", "-0.1", |b| b.refresh_jitter(-0.1)),
    ("refresh_jitter", "NaN", |b| b.refresh_jitter(f64::NAN)),
    ("refresh_jitter", "inf", |b| b.refresh_jitter(f64::INFINITY)),
    ("refresh_in_slices", "0ns, 1ns", |b| {
        b.refresh_in_slices(Duration::ZERO, Duration::from_nanos(1))
    }),
    ("refresh_in_slices", "1ns, 0ns", |b| {
        b.refresh_in_slices(Duration::from_nanos(1), Duration::ZERO)
    }),
    ("refresh_in_slices", "1ns, ", |b| {
        b.refresh_in_slices(Duration::from_nanos(1), Duration::MAX)
    }),
    ("key_events", "set", |b| b.key_events([KeyEvent::Missed])),
    ("key_events", "empty", |b| {
        b.key_observer(|_, _| {}).key_events([])
    }),
    ("name", "empty", |_| fresh("")),
    ("refresh_every", "set", |_| {
        Bucket::<u64, u64>::builder("none").refresh_every(Duration::from_secs(1))
    }),
    ("max_stale", "set", |_| {
        Bucket::<u64, u64>::builder("none").max_stale(Duration::from_secs(1))
    }),
];

#[test]
fn each_option_out_of_range_is_refused_by_name_value_and_range() {
    for (wrong, shown, spoil) in REFUSED {
        let error = spoil(fresh("options")).build().unwrap_err();
        let BuildError::Option {
            option,
            value,
            range,
        } = &error
        else {
            panic!("{wrong}: {error:?}");
        };
        assert_eq!(*option, wrong);
        assert!(value.contains(shown), "{wrong} is shown as {value}");
        let text = error.to_string();
        assert!(
            [*option, value, *range]
                .iter()
                .all(|part| text.contains(part))
        );
        assert!(!range.is_empty(), "{wrong}");
    }
}

#[test]
fn options_at_the_edge_of_their_range_are_taken() {
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    let edges: [Spoil; 13] = [
        |b| b.batch_size(1),
        |b| b.batch_size(usize::MAX),
        |b| b.queue_capacity(1),
        |b| b.queue_capacity(usize::MAX),
        |b| b.loader_threads(1),
        |b| b.wait_limit(Duration::from_nanos(1)),
        |b| b.linger(Duration::ZERO),
        |b| b.fold_delay(Duration::ZERO),
        |b| b.shutdown_limit(Duration::from_secs(60)),
        |b| b.refresh_jitter(0.0),
        |b| b.refresh_jitter(1.0),
        |b| b.refresh_every(Duration::from_nanos(1)),
        |b| b.max_stale(Duration::from_nanos(1)),
    ];
    for (at, edge) in edges.into_iter().enumerate() {
        let bucket = edge(fresh("edges")).build().unwrap();
        bucket.set(1, 1);
        assert_eq!(bucket.get(&1), Some(1), "{at}");
    }
    // Far away, and no sum of it overflows.
    let bucket = fresh("century")
        .wait_limit(century)
        .refresh_every(century)
        .max_stale(century)
        .refresh_jitter(1.0)
        .fold_delay(century)
        .build()
        .unwrap();
    assert_eq!(bucket.get(&1), Some(1));
    bucket.publish().unwrap();
    let longest = bucket.call().timeout(Duration::MAX).get(&2);
    assert_eq!(longest, Some(2));
}

#[test]
fn a_bucket_that_lingers_for_a_century_ends_at_once() {
    crate::common::bounded(|| {
        let bucket = fresh("linger")
            .linger(Duration::from_secs(100 * 365 * 24 * 3600))
            .build()
            .unwrap();
        let ticket = bucket.request_load([1]);
        drop(bucket);
        assert!(ticket.is_done());
    });
}
