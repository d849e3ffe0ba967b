//! Run with: `cargo run --example reactive_warming`
//!
//! A local cache that is backed by another layer: what is missing is fetched by a fallback, which is defined when the
//! cache is built or at the call, may have a state, says what becomes of its value, and runs once for all who wait.

#![allow(
    clippy::disallowed_types,
    reason = "three threads that start at once, as a caller's would"
)]

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use larder::{Bucket, ManualClock, Origin, Outcome, Ttl};

const MINUTE: Duration = Duration::from_secs(60);

/// Stands in for a connection to a database.
#[derive(Default)]
struct Database {
    queries: AtomicU32,
}

impl Database {
    fn load_packages(&self, path: &str) -> Result<String, String> {
        let query = 1 + self.queries.fetch_add(1, Relaxed);
        match path {
            "/api/v1/packages" => Ok(format!("packages, by query {query}")),
            path => Err(format!("nothing at {path}")),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (time, database) = (ManualClock::new(), Arc::new(Database::default()));

    // The fallback of all misses. Its state is what it captures.
    let connection = Arc::clone(&database);
    let cache = Bucket::<String, String>::builder("my cache")
        .clock(time.clock())
        .load(move |path: &String| connection.load_packages(path))
        .ttl(5 * MINUTE)
        .build()?;

    // At most one query in five minutes, and the local memory in between.
    let packages = "/api/v1/packages";
    for _ in 0..3 {
        assert_eq!(cache.get(packages), Some("packages, by query 1".into()));
    }
    time.advance(5 * MINUTE);
    assert_eq!(cache.get(packages), Some("packages, by query 2".into()));

    // A fallback at the call takes precedence. A bare value is committed: returned, and stored.
    let with = |path: &str, said: fn() -> Outcome<String>| {
        let fetched = cache.call().fetch_with(path, |_| Ok::<_, String>(said()))?;
        Ok::<_, larder::Error>((fetched.origin(), cache.peek(path), cache.ttl(path)))
    };
    let stored = |text: &str, left| (Origin::Loaded, Some(text.to_owned()), Some(Ttl::Left(left)));
    assert_eq!(
        with("commit", || Outcome::Value("kept".into()))?,
        stored("kept", 5 * MINUTE)
    );
    // Committed with options.
    let expiring = || Outcome::Expiring("kept".into(), MINUTE);
    assert_eq!(with("options", expiring)?, stored("kept", MINUTE));
    // Ignored: returned, and not stored.
    assert_eq!(
        with("ignore", || Outcome::Ignore("not kept".into()))?,
        (Origin::Ignored, None, None)
    );
    // An error is returned to all who wait, and not stored either.
    let failed = cache
        .fetch("/api/v2/packages")
        .err()
        .ok_or("there is one")?;
    assert_eq!(
        failed.to_string(),
        "the loader failed: nothing at /api/v2/packages"
    );

    // Three fallbacks for one key at once: one of them runs, and its value is everybody's.
    let (ran, start) = (AtomicU32::new(0), Barrier::new(3));
    let fetched: Vec<_> = thread::scope(|scope| {
        let calls = [0, 1, 2].map(|i| {
            let (cache, ran, start) = (&cache, &ran, &start);
            scope.spawn(move || {
                start.wait();
                cache.call().fetch_with("key", |_| {
                    ran.fetch_add(1, Relaxed);
                    Ok::<_, String>(i.to_string())
                })
            })
        });
        calls
            .into_iter()
            .flat_map(thread::ScopedJoinHandle::join)
            .collect()
    });
    let fetched = fetched.into_iter().collect::<Result<Vec<_>, _>>()?;
    let loaded = fetched
        .iter()
        .filter(|fetched| fetched.origin() == Origin::Loaded);
    assert_eq!(
        (ran.load(Relaxed), loaded.count(), fetched.len()),
        (1, 1, 3)
    );
    assert!(
        fetched
            .iter()
            .all(|fetched| fetched.value() == cache.peek("key").as_ref())
    );

    println!(
        "{} queries, and one of three fallbacks",
        database.queries.load(Relaxed)
    );
    assert_eq!(database.queries.load(Relaxed), 3);
    Ok(())
}
