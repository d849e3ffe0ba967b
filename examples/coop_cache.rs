//! Run with: `cargo run --example coop_cache`
//!
//! A cache of values that are expensive to generate: each is computed once, however many ask for it on a cold cache; a
//! limit caps the memory; and when the source gets a new version the cache is reset as a whole, with what is in flight.

#![allow(
    clippy::disallowed_types,
    reason = "barriers start threads at once, and stop a computation where the example resets the cache"
)]

use std::error::Error;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;

use larder::{Bucket, Fetched, Origin, Reset};

const MEMORY_LIMIT: u64 = 1024 * 1024;

/// Stands in for the source. Version 1 meets the example twice: when it begins to compute the key "in flight", and
/// before it answers.
struct Source {
    version: AtomicU64,
    computed: AtomicU32,
    in_flight: Barrier,
}

impl Source {
    fn some_expensive_operation(&self, key: &str) -> Result<String, String> {
        let version = self.version.load(Relaxed);
        self.computed.fetch_add(1, Relaxed);
        if (version, key) == (1, "in flight") {
            self.in_flight.wait();
            self.in_flight.wait();
        }
        let text = format!("{key}, of version {version}. ");
        Ok(text.repeat(100_000 / text.len()))
    }
}

fn begins(answer: &Fetched<String>, with: &str) -> bool {
    answer.value().is_some_and(|text| text.starts_with(with))
}

fn main() -> Result<(), Box<dyn Error>> {
    let source = Source {
        version: AtomicU64::new(1),
        computed: AtomicU32::new(0),
        in_flight: Barrier::new(2),
    };
    let told = Arc::new(AtomicU64::new(0));
    let telling = Arc::clone(&told);
    let example = Bucket::<String, String>::builder("example")
        .max_weight(MEMORY_LIMIT)
        .weigher(|key, value: &String| (key.len() + value.len()) as u64)
        .version(1)
        // Is asked before anything is cleared, and may refuse.
        .on_reset(move |version| {
            telling.store(version, Relaxed);
            Ok::<_, String>(())
        })
        .build()?;
    let cached = |key: &str| {
        let operation = |key: &String| source.some_expensive_operation(key);
        example.call().fetch_with(key, operation)
    };

    // A cold cache under fire: eight ask for one key at once, and it is computed once.
    let start = Barrier::new(8);
    let answers: Vec<_> = thread::scope(|scope| {
        let callers = [(); 8].map(|()| {
            scope.spawn(|| {
                start.wait();
                cached("my key")
            })
        });
        let answers = callers.into_iter().flat_map(thread::ScopedJoinHandle::join);
        answers.collect()
    });
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let computers = answers
        .iter()
        .filter(|answer| answer.origin() == Origin::Loaded);
    assert_eq!((answers.len(), computers.count()), (8, 1));
    assert_eq!(source.computed.load(Relaxed), 1);

    // The limit is a safety cap. The value that crosses it is kept; after that, new ones are computed, and not cached.
    let mut items = 1;
    while example.weight() < MEMORY_LIMIT {
        items += 1;
        assert_eq!(cached(&format!("item {items}"))?.origin(), Origin::Loaded);
    }
    let refused = cached("one too many")?;
    assert!(begins(&refused, "one too many"));
    assert_eq!((refused.origin(), example.len()), (Origin::Ignored, items));
    println!("{items} items of {} bytes", example.weight());

    // The source gets a new version while a value of the old one is being computed: it is computed again, and who asked
    // for it before the reset is answered with what was computed after.
    let answer = thread::scope(|scope| {
        let caller = scope.spawn(|| cached("in flight"));
        source.in_flight.wait();
        source.version.store(2, Relaxed);
        let reset = example.reset(2);
        source.in_flight.wait();
        assert_eq!(reset.ok(), Some(Reset::Done));
        caller.join()
    });
    let answer = answer.map_err(|_| "the caller panicked")??;
    assert!(begins(&answer, "in flight, of version 2"));
    // Everything else is gone, and there is room again.
    assert_eq!((answer.origin(), example.len()), (Origin::Loaded, 1));
    assert_eq!((example.version(), told.load(Relaxed)), (2, 2));

    // The same version again does nothing, nor does one that comes late.
    assert_eq!(
        (example.reset(2)?, example.reset(1)?),
        (Reset::Current, Reset::Older)
    );
    assert_eq!((example.version(), told.load(Relaxed)), (2, 2));
    println!("version {}", example.version());
    Ok(())
}
