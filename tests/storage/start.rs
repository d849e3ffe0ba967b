//! What a bucket begins with.

use std::time::Duration;

use larder::storage::Expiry;
use larder::{BuildError, Event, Init, ManualClock, Ttl};

use crate::common::{Notes, PATIENCE, bounded, eventually};
use crate::kit::{Call, Mood, Noting, Numbers, SECOND, builder, contents, in_time};

const MS: Duration = Duration::from_millis(1);
const TTL: Duration = Duration::from_secs(60);

/// The time of day that a manual clock begins with, in milliseconds.
const ORIGIN_MS: u64 = 1_000_000_000_000;

fn expiring(after: Duration) -> Option<Expiry> {
    Some(Expiry {
        expires_ms: ORIGIN_MS + u64::try_from(after.as_millis()).unwrap(),
        written_ms: ORIGIN_MS,
    })
}

#[test]
fn what_was_cached_comes_back_also_what_was_not_folded() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let bucket = builder(&storage, &time).build().unwrap();
        assert_eq!(bucket.loaded_storage(), Some(0));
        bucket.set_many((0..5000).map(|key| (key, key)));
        bucket.publish().unwrap();
        bucket.set(1, 11);
        bucket.invalidate(&2);
        drop(bucket);
        let bucket = builder(&storage, &time)
            .init(|| -> Result<Init<u64, u64>, String> { panic!("asked all the same") })
            .observer(|event| panic!("{event:?}"))
            .build()
            .unwrap();
        assert_eq!(bucket.loaded_storage(), Some(4999));
        assert_eq!((bucket.len(), bucket.snapshot().len()), (4999, 4999));
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(11), None));
        assert_eq!(bucket.reader().get(&4999), Some(&4999));
        // Nothing has changed, so nothing is written.
        storage.calls.take();
        bucket.shutdown();
        assert_eq!(storage.writes(), []);
        assert_eq!(bucket.stats().storage_writes, 0);
        // And the state after that is not lost either.
        let bucket = builder(&storage, &time).build().unwrap();
        bucket.set(2, 22);
        bucket.shutdown();
        assert_eq!(storage.writes(), [Call::Apply(vec![(2, Some(22))])]);
        assert_eq!(builder(&storage, &time).build().unwrap().len(), 5000);
    });
}

#[test]
fn init_is_asked_where_nothing_was_kept_and_what_it_brings_is() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let build = |value| {
            let seeded = builder(&storage, &time);
            let seeded = seeded.init(move || Ok::<_, String>(vec![(1, value)]));
            seeded.build().unwrap()
        };
        let bucket = build(10);
        assert_eq!(
            (bucket.peek(&1), bucket.loaded_storage()),
            (Some(10), Some(0))
        );
        // By itself.
        in_time(&time, SECOND, "the seeds are written", || {
            storage.pairs() == [(1, 10)]
        });
        drop(bucket);
        assert_eq!(build(20).peek(&1), Some(10), "from the storage");
    });
}

#[test]
fn the_time_in_the_storage_counts() {
    bounded(|| {
        for (rest, is_there) in [(MS, true), (Duration::ZERO, false)] {
            let (storage, time) = (Noting::new(), ManualClock::new());
            let bucket = builder(&storage, &time).build().unwrap();
            bucket.set_with_ttl(1, 10, TTL);
            bucket.set(2, 20);
            time.advance(TTL / 2);
            drop(bucket);
            assert_eq!(storage.pairs(), [(1, 10), (2, 20)]);
            time.advance(TTL / 2 - rest);
            // What was not to expire does not, whatever the bucket says of what is written.
            let bucket = builder(&storage, &time).ttl(TTL).build().unwrap();
            assert_eq!(bucket.loaded_storage(), Some(1 + usize::from(is_there)));
            assert_eq!(bucket.ttl(&1), is_there.then_some(Ttl::Left(rest)));
            assert_eq!(bucket.ttl(&2), Some(Ttl::Never));
            time.advance(rest);
            assert_eq!((bucket.peek(&1), bucket.peek(&2)), (None, Some(20)));
            // What had expired there goes there, though nothing was written here.
            in_time(&time, SECOND, "the expired is removed", || {
                storage.pairs() == [(2, 20)]
            });
        }
    });
}

#[test]
fn a_clock_that_was_put_back_gives_nothing_more_time() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        time.advance(TTL * 1000);
        let bucket = builder(&storage, &time).build().unwrap();
        bucket.set_with_ttl(1, 10, TTL);
        bucket.shutdown();
        let bucket = builder(&storage, &ManualClock::new()).build().unwrap();
        assert_eq!(bucket.ttl(&1), Some(Ttl::Left(TTL)));
    });
}

#[test]
fn a_storage_that_cannot_be_read_is_reported_and_replaced_with_the_first_change() {
    bounded(|| {
        for mood in [Mood::Fails, Mood::Panics] {
            // It fails after it has brought all that it has.
            let storage = Noting::holding(&[(1, 1, None), (2, 2, None)]);
            let (time, events) = (ManualClock::new(), Notes::new());
            let build = || {
                let (events, storage) = (events.clone(), builder(&storage, &time));
                storage
                    .observer(move |event| events.add(event.clone()))
                    .build()
                    .unwrap()
            };
            storage.is(mood);
            let bucket = build();
            storage.is(Mood::Well);
            assert_eq!((bucket.len(), bucket.loaded_storage()), (0, None));
            assert_eq!(bucket.stats().storage_failed, 1);
            eventually("it is reported", || events.len() == 1);
            let told = events.take();
            assert!(
                matches!(&told[..], [Event::StorageNotLoaded { .. }]),
                "{told:?}"
            );
            // Who finds that out, and ends the bucket, has lost nothing.
            bucket.shutdown();
            assert_eq!(storage.writes(), []);
            assert_eq!(storage.pairs(), [(1, 1), (2, 2)]);
            storage.is(mood);
            let bucket = build();
            storage.is(Mood::Well);
            storage.calls.take();
            bucket.set(2, 22);
            bucket.write_storage(PATIENCE).unwrap().unwrap();
            // What it had of key 1 may have been from before anything.
            assert_eq!(storage.writes(), [Call::Replace(0, vec![(2, 22)])]);
            bucket.set(3, 33);
            bucket.write_storage(PATIENCE).unwrap().unwrap();
            assert_eq!(storage.writes(), [Call::Apply(vec![(3, Some(33))])]);
            events.take();
        }
    });
}

#[test]
fn g9_what_is_kept_of_a_lower_version_is_not_loaded_and_goes() {
    bounded(|| {
        let (storage, time) = (Noting::new(), ManualClock::new());
        let bucket = builder(&storage, &time).build().unwrap();
        bucket.set(1, 10);
        bucket.reset(7).unwrap();
        bucket.set(2, 20);
        bucket.shutdown();
        assert_eq!(
            (storage.pairs(), storage.inner.version()),
            (vec![(2, 20)], 7)
        );
        // A lower version to begin with says nothing.
        for version in [0, 3, 7] {
            let bucket = builder(&storage, &time).version(version).build().unwrap();
            assert_eq!((bucket.version(), bucket.peek(&2)), (7, Some(20)));
        }
        storage.calls.take();
        let build = || {
            builder(&storage, &time)
                .version(8)
                .init(|| Ok::<_, String>(vec![(3, 30)]))
        };
        let bucket = build().build().unwrap();
        assert_eq!((bucket.version(), contents(&bucket)), (8, vec![(3, 30)]));
        bucket.shutdown();
        assert_eq!(storage.writes(), [Call::Replace(8, vec![(3, 30)])]);
        // Also where there is nothing to begin with.
        let bucket = builder(&storage, &time).version(9).build().unwrap();
        assert!(bucket.is_empty());
        bucket.shutdown();
        assert_eq!(storage.writes(), [Call::Replace(9, vec![])]);
    });
}

#[test]
fn g10_what_finds_no_room_at_the_start_goes_with_the_first_change() {
    bounded(|| {
        let rows: Vec<_> = (0..10).map(|key| (key, key, None)).collect();
        let (storage, time) = (Noting::holding(&rows), ManualClock::new());
        let limited = |limit| builder(&storage, &time).max_weight(limit).build().unwrap();
        let bucket = limited(4);
        assert_eq!((bucket.len(), bucket.stats().evicted), (4, 6));
        bucket.shutdown();
        assert_eq!(storage.pairs().len(), 10, "nothing was written");
        let bucket = limited(4);
        let left = contents(&bucket);
        bucket.invalidate(&left[0].0);
        bucket.shutdown();
        assert_eq!(storage.pairs(), left[1..]);
    });
}

#[test]
fn what_has_expired_there_is_not_loaded_and_goes() {
    bounded(|| {
        let time = ManualClock::new();
        let storage = Noting::holding(&[
            (1, 1, expiring(SECOND)),
            (2, 2, expiring(Duration::ZERO)),
            (3, 3, None),
        ]);
        let bucket = builder(&storage, &time).build().unwrap();
        assert_eq!(bucket.loaded_storage(), Some(2));
        assert_eq!(bucket.ttl(&1), Some(Ttl::Left(SECOND)));
        bucket.shutdown();
        assert_eq!(storage.writes(), [Call::Apply(vec![(2, None)])]);
    });
}

#[test]
fn a_delay_that_makes_no_sense_is_refused() {
    for delay in [Duration::ZERO, Duration::MAX] {
        let built = Numbers::builder("delayed").storage_delay(delay).build();
        let error = built.map(|_| ()).unwrap_err();
        let is_named = matches!(
            error,
            BuildError::Option {
                option: "storage_delay",
                ..
            }
        );
        assert!(is_named, "{error}");
    }
}
