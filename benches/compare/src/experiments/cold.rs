//! P6: how long the first answer of a cold miss takes when the loader takes no time.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use crate::args::Plan;
use crate::machine;
use crate::report::{Report, Table, Verdict, digits};
use crate::stats::percentile;
use crate::workload::{Hasher, Key, hasher};

/// Between two misses, so that the loader's thread has gone to sleep again.
const REST: Duration = Duration::from_micros(300);

/// Misses one key after the other, each alone.
pub fn run(plan: &Plan, report: &mut Report) {
    let misses = if plan.is_quick() { 300 } else { 2_000 };
    let single = larder::Bucket::builder("single")
        .hasher(hasher())
        .load(|key: &u64| Ok::<_, Infallible>(!key))
        .build()
        .expect("the options are valid");
    let bulk = larder::Bucket::builder("bulk")
        .hasher(hasher())
        .bulk_load(|keys: &[u64]| {
            Ok::<_, Infallible>(keys.iter().map(|&key| (key, !key)).collect::<Vec<_>>())
        })
        .build()
        .expect("the options are valid");
    let mut table = Table::new(&[
        "us a miss",
        "p50",
        "p99",
        "max",
        "times a thread slept, per miss",
    ]);
    for (name, bucket) in [("load", single), ("bulk_load", bulk)] {
        let cold = miss(&bucket, misses);
        let micros = |q| f64::from(percentile(&cold.nanos, q)) / 1e3;
        let slept = cold.switches.map_or_else(|| "?".into(), digits);
        let cells = [50.0, 99.0, 100.0].map(|q| digits(micros(q)));
        table.row(&[name, &cells[0], &cells[1], &cells[2], &slept]);
        report.verdict(Verdict {
            target: "P6",
            what: format!("first answer of a cold miss, instant {name}, median"),
            value: format!("{} us", digits(micros(50.0))),
            limit: "<= 30 us on an idle machine".into(),
            met: Some(micros(50.0) <= 30.0),
        });
        report.verdict(Verdict {
            target: "P6",
            what: format!("hand-overs per cold miss, by {name}, as times that any thread slept"),
            value: slept,
            limit: "<= 3".into(),
            met: cold.switches.map(|slept| slept <= 3.0),
        });
    }
    let text = format!(
        "{misses} misses, one after the other, {} us apart: the loader's thread sleeps when one \
         comes. A thread that sleeps was handed over from, so the voluntary context switches of \
         the whole process bound the hand-overs from above.\n\n",
        REST.as_micros()
    );
    report.section("P6: first answer of a cold miss", &(text + &table.finish()));
}

struct Cold {
    nanos: Vec<u32>,
    switches: Option<f64>,
}

fn miss(bucket: &larder::Bucket<u64, u64, Hasher>, misses: u64) -> Cold {
    for key in 0..20 {
        assert_eq!(
            bucket.get(&u64::nth(misses + key)),
            Some(!u64::nth(misses + key))
        );
    }
    let before = machine::voluntary_switches();
    let mut nanos = Vec::with_capacity(misses as usize);
    for index in 0..misses {
        let rest = Instant::now();
        while rest.elapsed() < REST {
            std::hint::spin_loop();
        }
        let key = u64::nth(index);
        let start = Instant::now();
        let got = bucket.get(&key);
        nanos.push(start.elapsed().as_nanos().try_into().unwrap_or(u32::MAX));
        assert_eq!(got, Some(!key), "wrong answer");
    }
    let after = machine::voluntary_switches();
    nanos.sort_unstable();
    let switches = before
        .zip(after)
        .map(|(before, after)| (after - before) as f64 / misses as f64);
    Cold { nanos, switches }
}
