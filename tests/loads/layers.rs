//! Options in layers: library, loader, builder, and a function of what that makes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::{
    BoxError, Bucket, BuildError, Builder, BulkLoader, DatasetLoader, Loader, ManualClock, Options,
    Outcome, Ttl, WhenFull,
};

use crate::common::{Notes, PATIENCE, bounded, lock};

type Numbers = Bucket<u64, u64>;

const LOADERS: Duration = Duration::from_secs(1);
const BUILDERS: Duration = Duration::from_secs(2);
const LAST: Duration = Duration::from_secs(3);

/// A loader of any kind that has defaults of its own.
struct Opinionated(Options, Notes<usize>);

impl Opinionated {
    fn with(options: Options) -> Self {
        Self(options, Notes::new())
    }
}

impl Loader<u64, u64> for Opinionated {
    fn load(&self, key: &u64) -> Result<Outcome<u64>, BoxError> {
        Ok(Outcome::Value(*key))
    }

    fn config(&self) -> Options {
        self.0.clone()
    }
}

impl BulkLoader<u64, u64> for Opinionated {
    fn bulk_load(&self, keys: &[u64]) -> Result<Vec<(u64, Outcome<u64>)>, BoxError> {
        self.1.add(keys.len());
        Ok(keys.iter().map(|&key| (key, Outcome::Value(key))).collect())
    }

    fn config(&self) -> Options {
        self.0.clone()
    }
}

impl DatasetLoader<u64, u64> for Opinionated {
    fn load_all(&self) -> Result<Box<dyn Iterator<Item = (u64, u64)> + '_>, BoxError> {
        Ok(Box::new((0..10).map(|key| (key, key))))
    }

    fn config(&self) -> Options {
        self.0.clone()
    }
}

fn builder() -> Builder<u64, u64> {
    Numbers::builder("layers").clock(ManualClock::new().clock())
}

/// What the function that has the last word is given.
fn seen(builder: Builder<u64, u64>) -> Options {
    let seen = Arc::new(Mutex::new(Options::default()));
    let seeing = Arc::clone(&seen);
    let built = builder.configure(move |options| lock(&seeing).clone_from(options));
    drop(built.build().unwrap());
    let seen = lock(&seen);
    seen.clone()
}

/// How long a value lives, as the bucket does it and not as it says.
fn lives(builder: Builder<u64, u64>) -> Ttl {
    let bucket = builder.build().unwrap();
    bucket.set(1, 1);
    bucket.ttl(&1).unwrap()
}

#[test]
fn layer_1_the_library_has_a_default_for_what_needs_one() {
    bounded(|| {
        let options = seen(builder());
        assert_eq!(
            (options.batch_size, options.loader_threads),
            (Some(500), Some(2))
        );
        assert_eq!(
            (options.queue_capacity, options.linger),
            (Some(100_000), Some(Duration::ZERO))
        );
        assert_eq!(
            (options.ttl, options.max_stale, options.refresh_every),
            (None, None, None)
        );
        assert_eq!(lives(builder()), Ttl::Never);
    });
}

#[test]
fn layer_2_a_loader_of_each_kind_wins_over_the_library() {
    bounded(|| {
        type Give = fn(Builder<u64, u64>, Opinionated) -> Builder<u64, u64>;
        let kinds: [Give; 3] = [
            Builder::loader,
            Builder::bulk_loader,
            Builder::dataset_loader,
        ];
        for give in kinds {
            let own = || Opinionated::with(Options::default().ttl(LOADERS).batch_size(3));
            let options = seen(give(builder(), own()));
            assert_eq!((options.ttl, options.batch_size), (Some(LOADERS), Some(3)));
            assert_eq!(options.loader_threads, Some(2), "of which it says nothing");
            assert_eq!(lives(give(builder(), own())), Ttl::Left(LOADERS));
        }
        // What is said of keys is over what is said of the dataset; of two loaders of keys the one counts that is used.
        let of = |seconds| Opinionated::with(Options::default().ttl(seconds));
        let both = builder().dataset_loader(of(LAST)).loader(of(LOADERS));
        assert_eq!(seen(both).ttl, Some(LOADERS));
        let both = builder().bulk_loader(of(LAST)).loader(of(LOADERS));
        assert_eq!(seen(both).ttl, Some(LAST));
    });
}

#[test]
fn layer_3_the_builder_wins_over_the_loader_whichever_comes_first() {
    bounded(|| {
        let own = || Opinionated::with(Options::default().ttl(LOADERS).batch_size(3).linger(LAST));
        let before = || builder().ttl(BUILDERS).batch_size(500).loader(own());
        let after = || builder().loader(own()).ttl(BUILDERS).batch_size(500);
        for build in [before(), after()] {
            let options = seen(build);
            assert_eq!(options.ttl, Some(BUILDERS));
            // Also if it says what the library says.
            assert_eq!(options.batch_size, Some(500));
            assert_eq!(options.linger, Some(LAST), "which it does not speak of");
        }
        assert_eq!(lives(before()), Ttl::Left(BUILDERS));
        assert_eq!(lives(after()), Ttl::Left(BUILDERS));
    });
}

#[test]
fn layer_4_a_function_of_the_result_comes_last() {
    bounded(|| {
        let own = || Opinionated::with(Options::default().ttl(LOADERS));
        let said = || builder().loader(own()).ttl(BUILDERS);
        let halved = said().configure(|options| options.ttl = options.ttl.map(|ttl| ttl / 2));
        assert_eq!(lives(halved), Ttl::Left(BUILDERS / 2));
        let in_turn = said()
            .configure(|options| options.ttl = Some(LAST))
            .configure(|options| options.ttl = options.ttl.map(|ttl| 2 * ttl));
        assert_eq!(lives(in_turn), Ttl::Left(2 * LAST));
        // Before or after what it is about does not matter.
        let early = builder().configure(|options| options.ttl = Some(LAST));
        assert_eq!(lives(early.ttl(BUILDERS)), Ttl::Left(LAST));
        let none = said().configure(|options| *options = Options::default());
        assert_eq!(lives(none), Ttl::Never, "no value is one");
    });
}

#[test]
fn an_option_of_a_loader_does_what_it_says() {
    bounded(|| {
        let calls = Notes::new();
        let own = Opinionated(Options::default().batch_size(4), calls.clone());
        let bucket = builder().bulk_loader(own).build().unwrap();
        assert!(bucket.request_load(0..12).wait(PATIENCE));
        assert!(
            calls.all().iter().all(|keys| *keys <= 4),
            "{:?}",
            calls.all()
        );
        assert_eq!(calls.all().iter().sum::<usize>(), 12);
        // Where it is needed and has no value, it has the library's.
        let bucket = builder()
            .bulk_loader(Opinionated(Options::default().batch_size(4), calls.clone()))
            .configure(|options| options.batch_size = None)
            .build()
            .unwrap();
        calls.take();
        assert!(bucket.request_load(0..12).wait(PATIENCE));
        assert_eq!(calls.all(), [12]);
    });
}

#[test]
fn a_limit_has_its_layers_as_well() {
    bounded(|| {
        let own = || {
            let options = Options::default().max_weight(2).when_full(WhenFull::Evict);
            Opinionated::with(options.time_to_idle(LOADERS))
        };
        let options = seen(builder().loader(own()).max_weight(3));
        assert_eq!(
            (options.max_weight, options.when_full, options.time_to_idle),
            (Some(3), Some(WhenFull::Evict), Some(LOADERS))
        );
        let holds = |builder: Builder<u64, u64>| {
            let bucket = builder.build().unwrap();
            (0..9)
                .filter(|&key| bucket.try_set(key, key).is_ok())
                .count()
        };
        let refusing = || builder().loader(own()).when_full(WhenFull::Refuse);
        assert_eq!(holds(refusing()), 2);
        assert_eq!(holds(refusing().max_weight(5)), 5);
        let last = refusing().max_weight(5);
        assert_eq!(
            holds(last.configure(|options| options.max_weight = Some(4))),
            4
        );
        // What weighs entries has no layers, and wants a limit from any of them.
        let weighed = || refusing().weigher(|_, _| 2);
        assert_eq!(holds(weighed()), 1);
        let none =
            weighed().configure(|options| (options.max_weight, options.when_full) = (None, None));
        assert!(none.build().is_err());
    });
}

#[test]
fn an_impossible_value_is_refused_by_name_whoever_says_it() {
    bounded(|| {
        type Spoil = fn(Options) -> Options;
        let cases: [(&str, Spoil); 12] = [
            ("batch_size", |o| o.batch_size(0)),
            ("queue_capacity", |o| o.queue_capacity(0)),
            ("loader_threads", |o| o.loader_threads(100_000)),
            ("wait_limit", |o| o.wait_limit(Duration::ZERO)),
            ("refresh_jitter", |o| o.refresh_jitter(f64::NAN)),
            ("ttl", |o| o.ttl(Duration::ZERO)),
            ("max_stale", |o| o.max_stale(Duration::MAX)),
            ("refresh_every", |o| o.refresh_every(Duration::ZERO)),
            ("time_to_idle", |o| o.time_to_idle(Duration::ZERO)),
            ("max_weight", |o| o.max_weight(0)),
            // Possible, but not here.
            ("when_full", |o| o.when_full(WhenFull::Evict)),
            ("dataset_min_count", |o| o.dataset_min_count(1)),
        ];
        for (name, spoil) in cases {
            let bad = spoil(Options::default());
            let by_loader = builder().loader(Opinionated::with(bad));
            let by_function = builder()
                .loader(Opinionated::with(Options::default()))
                .configure(move |options| *options = spoil(options.clone()));
            for builder in [by_loader, by_function] {
                match builder.build().map(|_| ()) {
                    Err(BuildError::Option { option, .. }) => assert_eq!(option, name),
                    built => panic!("{name}: {built:?}"),
                }
            }
        }
        // What is said over it counts.
        let bad = Opinionated::with(Options::default().batch_size(0));
        assert!(builder().loader(bad).batch_size(7).build().is_ok());
    });
}

/// A loader whose defaults are not to be had.
struct Panics;

impl Loader<u64, u64> for Panics {
    fn load(&self, _: &u64) -> Result<Outcome<u64>, BoxError> {
        Ok(Outcome::Absent)
    }

    fn config(&self) -> Options {
        panic!("no defaults")
    }
}

#[test]
fn a_panic_in_a_layer_is_an_error_of_build() {
    bounded(|| {
        let by_loader = builder().loader(Panics);
        let by_function = builder().configure(|_| panic!("no last word"));
        for (builder, why) in [(by_loader, "no defaults"), (by_function, "no last word")] {
            let error = builder.build().map(|_| ()).unwrap_err();
            assert!(matches!(error, BuildError::Panicked { .. }), "{error:?}");
            assert!(error.to_string().contains(why), "{error}");
            assert!(std::error::Error::source(&error).is_some());
        }
    });
}
