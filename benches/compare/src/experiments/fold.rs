//! P8: new keys written one by one into a bucket that is already large, folds included, against
//! the same writes into papaya.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::args::Plan;
use crate::machine;
use crate::report::{Report, Table, Verdict, digits, ratio, size as size_name, spread};
use crate::stats::Summary;
use crate::subject::larder::shelf;
use crate::workload::{Dataset, Hasher, Key, hasher, value};

const HELD: u64 = 1_000_000;
const NEW: u64 = 1_000_000;
const SUBJECTS: [&str; 4] = [
    "larder, holds as many, until published",
    "larder, until the last set returns",
    "papaya from empty",
    "papaya, holds as many",
];

/// What one round took: seconds of wall and processor time for each subject.
type Times = [Vec<(f64, f64)>; 4];

/// Writes with one writer, and with two.
pub fn run(plan: &Plan, report: &mut Report) {
    let rounds = if plan.is_quick() { 1 } else { 3 };
    at(HELD, rounds, &[1, 2], report);
}

/// The same with so many entries held, and so many writers.
pub(super) fn at(held: u64, rounds: usize, writers: &[u64], report: &mut Report) {
    let data = Dataset::<u64>::new(held as usize);
    let size = size_name(held as usize);
    let mut text = format!(
        "1 M new keys, one `set` each, into a bucket whose snapshot holds {size}; the folds that \
         this starts, and a last `publish()`, are in the time. papaya is written through a pin \
         per insert. All keys are checked afterwards.\n\n",
    );
    for &writers in writers {
        let mut times = Times::default();
        for _ in 0..rounds {
            round(&data, writers, &mut times);
        }
        text += &table(&size, writers, &times, report);
    }
    report.section(&format!("P8: writes with folds, {size} held"), &text);
}

fn round(data: &Dataset<u64>, writers: u64, times: &mut Times) {
    let all = data.size() as u64;
    let bucket = shelf("fold", data);
    let start = (Instant::now(), machine::cpu_seconds());
    write(all, writers, |key, value| bucket.set(key, value));
    times[1].push(since(start));
    bucket.publish().expect("the bucket is open");
    times[0].push(since(start));
    assert_eq!(bucket.len() as u64, all + NEW);
    let mut reader = bucket.reader();
    check(0..all + NEW, |key| reader.get(key).copied());
    drop((reader, bucket));

    for (lane, held) in [(2, 0), (3, all)] {
        let map: papaya::HashMap<u64, u64, Hasher> =
            papaya::HashMap::builder().hasher(hasher()).build();
        data.iter().take(held as usize).for_each(|(key, value)| {
            map.pin().insert(key, value);
        });
        let start = (Instant::now(), machine::cpu_seconds());
        write(all, writers, |key, value| {
            map.pin().insert(key, value);
        });
        times[lane].push(since(start));
        check(all - held..all + NEW, |key| map.pin().get(key).copied());
    }
}

/// Has `writers` threads write the new keys, each its share.
fn write(held: u64, writers: u64, put: impl Fn(u64, u64) + Sync) {
    let barrier = Barrier::new(writers as usize);
    let share = |writer: u64| {
        barrier.wait();
        for index in (held + writer..held + NEW).step_by(writers as usize) {
            put(u64::nth(index), value(index));
        }
    };
    thread::scope(|scope| {
        for writer in 1..writers {
            scope.spawn(move || share(writer));
        }
        share(0);
    });
}

fn check(entries: std::ops::Range<u64>, mut get: impl FnMut(&u64) -> Option<u64>) {
    for index in entries {
        assert_eq!(
            get(&u64::nth(index)),
            Some(value(index)),
            "entry {index} is wrong"
        );
    }
}

fn since((wall, cpu): (Instant, Option<f64>)) -> (f64, f64) {
    let cpu = cpu
        .zip(machine::cpu_seconds())
        .map_or(f64::NAN, |(before, after)| after - before);
    (wall.elapsed().as_secs_f64(), cpu)
}

fn table(size: &str, writers: u64, times: &Times, report: &mut Report) -> String {
    let by = if writers == 1 {
        "one writer".to_owned()
    } else {
        format!("{writers} writers")
    };
    let ns = |seconds: f64| seconds * 1e9 / NEW as f64;
    let against = |lane: usize, other: usize| {
        let pairs = times[lane].iter().zip(&times[other]);
        Summary::of(
            &pairs
                .map(|(ours, theirs)| ours.0 / theirs.0)
                .collect::<Vec<_>>(),
        )
        .median
    };
    for (other, limit) in [(2, Some(2.0)), (3, None)] {
        let got = against(0, other);
        report.verdict(Verdict {
            target: "P8",
            what: format!(
                "1 M new keys into {size}, {by}, against {}",
                SUBJECTS[other]
            ),
            value: ratio(got),
            limit: limit.map_or_else(|| "reported".into(), |limit| format!("<= {}", ratio(limit))),
            met: limit.map(|limit| got <= limit),
        });
    }
    let columns = [
        &by,
        "wall, ns a write",
        "x papaya from empty",
        "x papaya, holds as many",
        "cpu, ns a write",
    ];
    let mut table = Table::new(&columns);
    for (lane, name) in SUBJECTS.iter().enumerate() {
        let wall: Vec<f64> = times[lane].iter().map(|time| ns(time.0)).collect();
        let cpu: Vec<f64> = times[lane].iter().map(|time| ns(time.1)).collect();
        table.row(&[
            (*name).to_owned(),
            spread(Summary::of(&wall)),
            ratio(against(lane, 2)),
            ratio(against(lane, 3)),
            digits(Summary::of(&cpu).median),
        ]);
    }
    table.finish()
}
