//! P5: many misses at once cost as few loads as they can, and little else.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::args::Plan;
use crate::machine;
use crate::measure;
use crate::report::{Report, Table, Verdict, digits, spread};
use crate::stats::Summary;
use crate::workload::{Key, hasher, value};

const KEYS: u64 = 10_000;
const BATCH: u64 = 1_000;

/// Fetches distinct missing keys in one call, from a loader that knows them at once.
pub fn run(plan: &Plan, report: &mut Report) {
    let calls = Arc::new(AtomicU64::new(0));
    let loading = Arc::new(AtomicU64::new(0));
    let (counted, timed) = (Arc::clone(&calls), Arc::clone(&loading));
    let bucket = larder::Bucket::builder("batches")
        .hasher(hasher())
        .batch_size(BATCH as usize)
        .queue_capacity(2 * KEYS as usize)
        .loader_threads(1)
        .bulk_load(move |keys: &[u64]| {
            let start = Instant::now();
            counted.fetch_add(1, Ordering::Relaxed);
            let loaded: Vec<(u64, u64)> = keys.iter().map(|&key| (key, !key)).collect();
            timed.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
            Ok::<_, Infallible>(loaded)
        })
        .build()
        .expect("the options are valid");

    let rounds = if plan.is_quick() { 5 } else { 25 };
    let (mut most, mut least) = (0, u64::MAX);
    let (mut whole, mut ours, mut storing, mut hits) = (vec![], vec![], vec![], vec![]);
    let mut waking = Vec::new();
    let mut cpu = Vec::new();
    for round in 0..rounds {
        // Keys that no round before has asked for.
        let keys = |part: u64| {
            (0..KEYS)
                .map(|i| u64::nth((2 * round + part) * KEYS + i))
                .collect()
        };
        let asked: Vec<u64> = keys(0);
        calls.store(0, Ordering::Relaxed);
        loading.store(0, Ordering::Relaxed);
        let fetch = || {
            let (time, results) = measure::time(|| bucket.fetch_many(&asked));
            let right = asked.iter().zip(results).all(|(key, fetched)| {
                fetched.expect("the loader cannot fail").into_value() == Some(!key)
            });
            assert!(right, "wrong answers");
            time.as_nanos() as f64 / KEYS as f64
        };
        let before = machine::cpu_seconds();
        whole.push(fetch());
        let spent = before
            .zip(machine::cpu_seconds())
            .map(|(before, after)| after - before);
        cpu.extend(spent.map(|seconds| seconds * 1e9 / KEYS as f64));
        let in_loader = loading.load(Ordering::Relaxed) as f64 / KEYS as f64;
        ours.push(whole[whole.len() - 1] - in_loader);
        let called = calls.load(Ordering::Relaxed);
        (most, least) = (called.max(most), called.min(least));

        let pairs: Vec<(u64, u64)> = keys(1)
            .into_iter()
            .map(|key: u64| (key, value(key)))
            .collect();
        let (time, ()) = measure::time(|| bucket.set_many(pairs));
        storing.push(time.as_nanos() as f64 / KEYS as f64);
        waking.push(ours[ours.len() - 1] - storing[storing.len() - 1]);
        bucket.publish().expect("the bucket is open");
        hits.push(fetch());
    }
    verdicts(least, most, &ours, &waking, report);

    let mut table = Table::new(&["ns a key", "median [least-greatest]"]);
    let mut row = |name: &str, samples: &[f64]| table.row(&[name, &spread(Summary::of(samples))]);
    row("fetch_many of misses, all", &whole);
    row("... without the time inside the loader", &ours);
    row(
        "... and without what storing alone costs: queueing and waking",
        &waking,
    );
    if !cpu.is_empty() {
        row("... in processor time, of all threads", &cpu);
    }
    row("set_many of as many new keys", &storing);
    row("fetch_many of the same keys, now hits", &hits);
    let text = format!(
        "{KEYS} distinct missing keys in one `fetch_many`, batches of {BATCH}, one loader thread, \
         a loader that answers at once. Storing the values is part of it; \
         `set_many` shows what storing alone costs.\n\n"
    );
    report.section("P5: misses in batches", &(text + &table.finish()));
}

fn verdicts(least: u64, most: u64, ours: &[f64], waking: &[f64], report: &mut Report) {
    let expected = KEYS.div_ceil(BATCH);
    report.verdict(Verdict {
        target: "P5",
        what: format!("bulk loads for {KEYS} distinct misses, batches of {BATCH}"),
        value: if least == most {
            most.to_string()
        } else {
            format!("{least} to {most}")
        },
        limit: format!("exactly {expected}"),
        met: Some(least == expected && most == expected),
    });
    let micros = |samples| Summary::of(samples).median / 1e3;
    report.verdict(Verdict {
        target: "P5",
        what: "queueing and waking, per key (all but the loader and storing)".into(),
        value: format!("{} us", digits(micros(waking))),
        limit: "<= 1 us".into(),
        met: Some(micros(waking) <= 1.0),
    });
    report.verdict(Verdict {
        target: "P5",
        what: "queueing, storing and waking, per key (all but the loader)".into(),
        value: format!("{} us", digits(micros(ours))),
        limit: "reported".into(),
        met: None,
    });
}
