//! Warmers: what they bring, when they run, and what they may not overwrite.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use larder::{Bucket, BuildError, ErrorKind, ManualClock, Outcome, Ttl, Warm, Warmed, WhenFull};

use crate::common::{Broken, Door, Notes, PATIENCE, Task, bounded, eventually, lock, settle};

type Numbers = Bucket<u64, u64>;
type Pairs = Vec<(u64, u64)>;

const SECOND: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_nanos(1);

/// What a source has, changed by the test.
#[derive(Clone, Default)]
struct Source(Arc<std::sync::Mutex<Pairs>>);

impl Source {
    fn of<const N: usize>(pairs: [(u64, u64); N]) -> Self {
        let source = Self::default();
        source.put(pairs);
        source
    }

    fn put<const N: usize>(&self, pairs: [(u64, u64); N]) {
        *lock(&self.0) = pairs.into();
    }

    fn all(&self) -> Pairs {
        lock(&self.0).clone()
    }

    /// A warmer that brings all of it, after it has passed the door.
    fn warm(&self, door: &Door) -> Warm<u64, u64> {
        let (source, door) = (self.clone(), door.clone());
        Warm::with(move |_| {
            let all = source.all();
            door.pass();
            Ok::<_, Broken>(all)
        })
    }
}

fn run(bucket: &Numbers, name: &str) {
    bucket.warm([name]).unwrap().wait(PATIENCE).unwrap();
}

#[test]
fn what_a_warmer_brings_is_merged_and_in_a_snapshot_whole_or_not_at_all() {
    bounded(|| {
        let source = Source::of([(1, 10), (2, 20), (3, 30)]);
        let bucket = Numbers::builder("merged")
            .warmer("all", source.warm(&Door::open()).required())
            .build()
            .unwrap();
        assert_eq!(
            bucket.get_many([&1, &2, &3]),
            [Some(10), Some(20), Some(30)]
        );

        // Nothing is deleted when the source shrinks, and what others have written stays.
        bucket.set(7, 70);
        source.put([(2, 21)]);
        run(&bucket, "all");
        settle(&bucket);
        let snapshot = bucket.snapshot();
        let found = [1, 2, 3, 7].map(|key| snapshot.get(&key).copied());
        assert_eq!(found, [Some(10), Some(21), Some(30), Some(70)]);

        // While one thread has the same two keys brought again and again, no snapshot has two runs mixed.
        let count = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&count);
        let pairs = move || {
            let run = counting.fetch_add(1, Ordering::SeqCst);
            [(1, run), (2, run), (1, run)]
        };
        let bucket = Numbers::builder("whole")
            .warmer(
                "pair",
                Warm::with(move |_| Ok::<_, Broken>(pairs())).required(),
            )
            .build()
            .unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (end, folding) = (Arc::clone(&over), bucket.clone());
        let folder = Task::spawn(move || {
            let mut seen = Vec::new();
            while !end.load(Ordering::SeqCst) {
                folding.publish().unwrap();
                let snapshot = folding.snapshot();
                seen.push([1, 2].map(|key| snapshot.get(&key).copied()));
            }
            seen
        });
        for _ in 0..300 {
            run(&bucket, "pair");
        }
        over.store(true, Ordering::SeqCst);
        for [first, second] in folder.join() {
            assert_eq!(first, second);
        }
    });
}

#[test]
fn pairs_live_as_long_as_the_warmer_says_and_nothing_is_nothing() {
    bounded(|| {
        let time = ManualClock::new();
        let bucket = Numbers::builder("times")
            .clock(time.clock())
            .ttl(100 * SECOND)
            .warmer(
                "all of them",
                Warm::with(|_| Ok::<_, Broken>(Warmed::pairs([(1, 1)]).ttl(10 * SECOND))),
            )
            .warmer(
                "each",
                Warm::with(|_| {
                    let stored = |value| Outcome::Stored {
                        value,
                        ttl: None,
                        weight: None,
                    };
                    let pairs = [
                        (2, Outcome::Expiring(2, 20 * SECOND)),
                        (3, stored(3)),
                        (4, Outcome::Absent),
                        (5, Outcome::Failed("no such".into())),
                    ];
                    Ok::<_, Broken>(Warmed::pairs(pairs).ttl(30 * SECOND))
                }),
            )
            .warmer("the bucket's", Warm::with(|_| Ok::<_, Broken>([(6, 6)])))
            .warmer("nothing", Warm::with(|_| Ok::<_, Broken>(None::<Pairs>)))
            .build()
            .unwrap();
        bucket.set(4, 44);
        bucket.warm_all().wait(PATIENCE).unwrap();
        let left = [1, 2, 3, 6].map(|key| bucket.ttl(&key));
        assert_eq!(
            left,
            [10, 20, 30, 100].map(|left| Some(Ttl::Left(left * SECOND)))
        );
        // Pairs without a value say nothing.
        assert_eq!(
            (bucket.peek(&4), bucket.peek(&5), bucket.len()),
            (Some(44), None, 5)
        );
    });
}

#[test]
fn g4_what_changes_while_a_warmer_runs_is_not_overwritten_by_what_it_read_before() {
    bounded(|| {
        let door = Door::open();
        let source = Source::of([(1, 10), (2, 20), (3, 30), (4, 40)]);
        let bucket = Numbers::builder("newer")
            .load(|key: &u64| Ok::<_, Broken>(1000 + key))
            .warmer("all", source.warm(&door).required())
            .build()
            .unwrap();
        door.close();
        let ticket = bucket.warm(["all"]).unwrap();
        door.await_waiting(1);
        // Read already: 10, 20, 30, 40. What comes now is newer, folded or not.
        bucket.set(1, 11);
        bucket.invalidate(&2);
        bucket.publish().unwrap();
        bucket.invalidate(&3);
        assert_eq!(bucket.get(&3), Some(1003));
        door.release();
        ticket.wait(PATIENCE).unwrap();
        let found = [1, 2, 3, 4].map(|key| bucket.peek(&key));
        assert_eq!(found, [Some(11), None, Some(1003), Some(40)]);
        assert_eq!(bucket.stats().superseded, 3);
        // The next run has read them all after that.
        run(&bucket, "all");
        assert_eq!(
            [1, 2, 3, 4].map(|key| bucket.peek(&key)),
            [10, 20, 30, 40].map(Some)
        );
    });
}

#[test]
fn a_clear_drops_what_was_read_before_and_a_reset_has_it_read_again() {
    bounded(|| {
        let (source, door) = (Source::of([(1, 10)]), Door::closed());
        let bucket = Numbers::builder("emptied")
            .warmer("all", source.warm(&door))
            .build()
            .unwrap();
        door.await_waiting(1);
        bucket.clear().unwrap();
        door.release();
        eventually("the end of the run", || bucket.stats().warmer_runs == 1);
        assert_eq!(bucket.peek(&1), None);

        door.close();
        let ticket = bucket.warm(["all"]).unwrap();
        door.await_waiting(1);
        source.put([(1, 11)]);
        bucket.reset(1).unwrap();
        door.release();
        ticket.wait(PATIENCE).unwrap();
        // Who waited for the run is told when what it brings is of after the reset.
        assert_eq!((bucket.peek(&1), bucket.stats().warmer_runs), (Some(11), 2));
    });
}

#[test]
fn required_warmers_run_side_by_side_before_the_bucket_is_there_and_others_behind_it() {
    bounded(|| {
        // Each of the two goes on only when the other is running as well.
        let both = Arc::new(Barrier::new(2));
        let warm = |key: u64| {
            let both = Arc::clone(&both);
            Warm::with(move |_| {
                both.wait();
                Ok::<_, Broken>([(key, key)])
            })
            .required()
        };
        let (source, door) = (Source::of([(3, 3)]), Door::closed());
        let bucket = Numbers::builder("required")
            .warmer("one", warm(1))
            .warmer("two", warm(2))
            .warmer("behind", source.warm(&door))
            .build()
            .unwrap();
        assert_eq!((bucket.peek(&1), bucket.peek(&2)), (Some(1), Some(2)));
        assert_eq!(bucket.peek(&3), None);
        door.release();
        eventually("what comes behind", || bucket.peek(&3) == Some(3));
    });
}

#[test]
fn a_required_warmer_that_fails_or_is_late_keeps_the_bucket_from_being_built() {
    bounded(|| {
        type Fails = fn() -> Result<Pairs, Broken>;
        let fails: [(Fails, ErrorKind); 2] = [
            (|| Err(Broken("no source")), ErrorKind::Load),
            (|| panic!("in a warmer"), ErrorKind::Panicked),
        ];
        for (fails, kind) in fails {
            let built = Numbers::builder("fails")
                .warmer("well", Warm::with(|_| Ok::<_, Broken>([(1, 1)])).required())
                .warmer("badly", Warm::with(move |_| fails()).required())
                .build();
            match built.map(|_| ()) {
                Err(BuildError::NotWarm { warmer, source }) => {
                    assert_eq!((&*warmer, source.kind()), ("badly", kind));
                }
                other => panic!("{other:?}"),
            }
        }
        // Where it need not be there, the same is no reason.
        Numbers::builder("background")
            .warmer(
                "badly",
                Warm::with(|_| Err::<Pairs, _>(Broken("no source"))),
            )
            .build()
            .unwrap();

        // A limit by the bucket's clock.
        let (time, source, door) = (ManualClock::new(), Source::of([(1, 1)]), Door::closed());
        let builder = Numbers::builder("late")
            .clock(time.clock())
            .shutdown_limit(Duration::ZERO)
            .warm_limit(10 * SECOND)
            .warmer("slow", source.warm(&door).required());
        let building = Task::spawn(move || builder.build().map(|_| ()).unwrap_err());
        door.await_waiting(1);
        // The deadline is taken when the warmers have been started, so a little later perhaps.
        let mut waited = Duration::ZERO;
        let ended = loop {
            match building.try_join() {
                Some(ended) => break ended,
                None => time.advance(SECOND / 10),
            }
            waited += SECOND / 10;
            std::thread::yield_now();
        };
        assert!(waited >= 10 * SECOND, "{waited:?}");
        assert_eq!(
            ended.to_string(),
            "warmer `slow`: no answer within the wait limit"
        );
        door.release();
    });
}

/// A bucket with a timed warmer that notes when it is run.
fn timed(
    time: &ManualClock,
    shape: impl FnOnce(Warm<u64, u64>) -> Warm<u64, u64>,
) -> (Numbers, Notes<Duration>, Door) {
    let (notes, door, clock) = (Notes::new(), Door::open(), time.clock());
    let (noting, at) = (notes.clone(), door.clone());
    let warm = Warm::with(move |_| {
        noting.add(clock.now());
        at.pass();
        Ok::<_, Broken>([(1, 1)])
    });
    let bucket = Numbers::builder("timed")
        .clock(time.clock())
        .refresh_jitter(0.0)
        .warmer("timed", shape(warm).required())
        .build()
        .unwrap();
    (bucket, notes, door)
}

#[test]
fn the_interval_counts_from_the_end_of_a_run_whoever_it_was_for() {
    bounded(|| {
        let time = ManualClock::new();
        let now = time.clock();
        let (bucket, notes, door) = timed(&time, |warm| warm.every(EVERY));
        let done = |runs| move |bucket: &Numbers| bucket.stats().warmer_runs == runs;
        assert_eq!(notes.take(), [Duration::ZERO]);
        for round in 0..20 {
            time.advance(EVERY - TICK);
            std::thread::yield_now();
            assert_eq!(notes.len(), 0, "one tick too early");
            time.advance(TICK);
            eventually("a run at its time", || done(round + 2)(&bucket));
            assert_eq!(notes.take(), [now.now()]);
        }
        // One that takes three intervals: no other begins, and the next counts from its end.
        door.close();
        time.advance(EVERY);
        door.await_waiting(1);
        for _ in 0..3 {
            time.advance(EVERY);
            settle(&bucket);
        }
        assert_eq!(notes.take().len(), 1);
        door.release();
        eventually("its end", || done(22)(&bucket));
        // Asked for at half time: the timer begins anew.
        time.advance(EVERY / 2);
        run(&bucket, "timed");
        assert_eq!(notes.take(), [now.now()]);
        time.advance(EVERY - TICK);
        std::thread::yield_now();
        assert_eq!(notes.len(), 0, "the timer was not begun anew");
        time.advance(TICK);
        eventually("the next", || done(24)(&bucket));
        assert_eq!(notes.take(), [now.now()]);
    });
}

#[test]
fn without_an_interval_it_runs_at_the_start_and_when_asked() {
    bounded(|| {
        let time = ManualClock::new();
        let (bucket, notes, _) = timed(&time, |warm| warm);
        for _ in 0..10 {
            time.advance(1000 * EVERY);
            settle(&bucket);
        }
        run(&bucket, "timed");
        assert_eq!(notes.all(), [Duration::ZERO, 10_000 * EVERY]);
    });
}

#[test]
fn runs_of_one_warmer_never_overlap_and_who_asks_meanwhile_gets_the_next() {
    bounded(|| {
        let (source, door) = (Source::of([(1, 10)]), Door::closed());
        let other = Warm::with(|_| Ok::<_, Broken>([(2, 2)])).required();
        let bucket = Numbers::builder("next")
            .warmer("all", source.warm(&door))
            .warmer("other", other)
            .build()
            .unwrap();
        door.await_waiting(1);
        // The run that stands there has read 10.
        source.put([(1, 11)]);
        let tickets = [
            bucket.warm(["all"]).unwrap(),
            bucket.warm(["all", "all"]).unwrap(),
        ];
        // Another warmer does not wait for it.
        run(&bucket, "other");
        assert!(tickets.iter().all(|ticket| !ticket.is_done()));
        assert_eq!(
            tickets[0].wait(Duration::ZERO).unwrap_err().kind(),
            ErrorKind::Timeout
        );
        assert_eq!(door.waiting(), 1);
        door.release();
        for ticket in &tickets {
            ticket.wait(PATIENCE).unwrap();
            assert_eq!(ticket.names().collect::<Vec<_>>(), ["all"]);
            assert!(
                ticket
                    .results()
                    .all(|(name, ended)| name == "all" && matches!(ended, Some(Ok(()))))
            );
        }
        assert_eq!(bucket.peek(&1), Some(11));
        // The two have shared one.
        assert_eq!(bucket.stats().warmer_runs, 4);
    });
}

#[test]
fn what_does_not_fit_is_not_stored_at_all_and_while_off_nothing_is_run() {
    bounded(|| {
        let source = Source::of([(1, 1)]);
        let bucket = Numbers::builder("full")
            .max_weight(3)
            .when_full(WhenFull::Refuse)
            .warmer("all", source.warm(&Door::open()).required())
            .build()
            .unwrap();
        source.put([(1, 11), (2, 12), (3, 13), (4, 14), (5, 15)]);
        run(&bucket, "all");
        // What it was to replace goes, as no read may return it any more.
        assert_eq!(
            (bucket.len(), bucket.weight(), bucket.stats().refused),
            (0, 0, 5)
        );
        source.put([(1, 11), (2, 12), (1, 21)]);
        run(&bucket, "all");
        settle(&bucket);
        assert_eq!((bucket.peek(&1), bucket.weight()), (Some(21), 2));

        bucket.set_caching(false).unwrap();
        run(&bucket, "all");
        assert_eq!(bucket.len(), 0);
        bucket.set_caching(true).unwrap();
        run(&bucket, "all");
        assert_eq!(bucket.len(), 2);
    });
}

#[test]
fn an_absence_that_is_remembered_ends_with_what_a_warmer_brings() {
    bounded(|| {
        let source = Source::default();
        let time = ManualClock::new();
        let bucket = Numbers::builder("absent")
            .clock(time.clock())
            .ttl(SECOND)
            .load(|_: &u64| Ok::<_, Broken>(None))
            .exists(|_| Ok::<_, Broken>(false))
            .exists_absent_for(EVERY)
            .warmer("all", source.warm(&Door::open()).required())
            .build()
            .unwrap();
        assert_eq!(bucket.get(&1), None);
        source.put([(1, 10)]);
        run(&bucket, "all");
        assert_eq!(bucket.get(&1), Some(10));
        // It goes without a write, which would end what is remembered as well.
        time.advance(SECOND);
        let asked = bucket.stats().exists_asked;
        assert_eq!(bucket.get(&1), None);
        assert_eq!(bucket.stats().exists_asked, asked + 1, "asked again");
    });
}
