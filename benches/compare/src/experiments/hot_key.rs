//! P3: one hot key, read by two threads. Who writes to shared memory on a hit is slowed down.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use crate::args::Plan;
use crate::machine;
use crate::measure;
use crate::report::{Report, Table, Verdict, digits, ratio};
use crate::stats::Summary;
use crate::subject;
use crate::subject::larder::{GET, PEEK, READER};
use crate::workload::{Dataset, Hasher, Key, hasher, value};

const ENTRIES: usize = 1_000;
const HOT: u64 = 7;

/// Reads the hot key on the given cores for a while; returns ns a read for each.
type Hot<'a> = Box<dyn Fn(&[usize], Duration) -> Vec<f64> + 'a>;

/// Compares each thread's speed beside the other with its speed alone.
pub fn run(plan: &Plan, report: &mut Report) {
    let cores = machine::cores();
    if cores.len() < 2 {
        report.section("P3: a hot key on two threads", "Skipped: one core only.");
        return;
    }
    let cores = [cores[0], cores[1]];
    let data = Dataset::<u64>::new(ENTRIES);
    let lanes = subject::all(&data);
    let mut subjects: Vec<(&str, Hot<'_>)> = Vec::new();
    for lane in &lanes {
        let hot = |cores: &[usize], budget| lane.hot(&u64::nth(HOT), value(HOT), cores, budget);
        subjects.push((lane.name(), Box::new(hot)));
    }
    subjects.extend(arc_values(&data));

    let rows = rounds(plan, &subjects, cores);
    let mut table = Table::new(&["one key", "alone, ns", "beside the other, ns", "speed kept"]);
    for ((name, _), row) in subjects.iter().zip(&rows) {
        let cells = [
            *name,
            &digits(row.alone),
            &digits(row.beside),
            &ratio(row.kept),
        ];
        table.row(&cells);
        if [READER, PEEK, GET].contains(name) {
            report.verdict(verdict(name, row.kept, rows[0].kept));
        }
    }
    let text = "One key of 1 k, read by two threads pinned to two cores, and by each of them \
                alone. *Speed kept*: how fast a thread is beside the other, against alone; of the \
                two threads, the one that keeps less. What the bare map loses is the machine's \
                doing. The last rows hold `Arc` values: whoever hands out clones of one makes the \
                threads fight over its count.\n\n";
    report.section(
        "P3: a hot key on two threads",
        &(text.to_owned() + &table.finish()),
    );
}

/// Where the bare map, which shares nothing, loses as much, the machine had no two cores to give
/// and nothing was shown.
fn verdict(name: &str, kept: f64, floor: f64) -> Verdict {
    const LEAST: f64 = 0.95;
    let is_shown = kept >= LEAST || floor >= LEAST;
    let floor = ratio(floor);
    let limit = if is_shown {
        ">= 0.95x"
    } else {
        ">= 0.95x; not decided, as the machine was busy"
    };
    Verdict {
        target: "P3",
        what: format!("hot key on two threads, {name}, speed kept (bare map: {floor})"),
        value: ratio(kept),
        limit: limit.into(),
        met: is_shown.then_some(kept >= LEAST),
    }
}

struct Kept {
    alone: f64,
    beside: f64,
    kept: f64,
}

fn rounds(plan: &Plan, subjects: &[(&str, Hot<'_>)], cores: [usize; 2]) -> Vec<Kept> {
    let budget = 2 * plan.budget;
    let mut samples = vec![(Vec::new(), Vec::new(), [Vec::new(), Vec::new()]); subjects.len()];
    for round in 0..plan.rounds {
        for turn in 0..subjects.len() {
            let subject = (turn + round) % subjects.len();
            let hot = &subjects[subject].1;
            let alone = cores.map(|core| hot(&[core], budget)[0]);
            let beside = hot(&cores, budget);
            let (all_alone, all_beside, kept) = &mut samples[subject];
            for thread in 0..2 {
                all_alone.push(alone[thread]);
                all_beside.push(beside[thread]);
                kept[thread].push(alone[thread] / beside[thread]);
            }
        }
    }
    let sum_up = |(alone, beside, kept): &(Vec<f64>, Vec<f64>, [Vec<f64>; 2])| Kept {
        alone: Summary::of(alone).median,
        beside: Summary::of(beside).median,
        kept: f64::min(Summary::of(&kept[0]).median, Summary::of(&kept[1]).median),
    };
    samples.iter().map(sum_up).collect()
}

/// Returns the same reads of values that are reference counted.
fn arc_values(data: &Dataset<u64>) -> Vec<(&'static str, Hot<'static>)> {
    let arcs = Arc::new(
        data.iter()
            .map(|(key, value)| (key, Arc::new(value)))
            .collect::<Vec<_>>(),
    );
    let map: hashbrown::HashMap<u64, Arc<u64>, Hasher> = arcs.iter().cloned().collect();
    let papaya: papaya::HashMap<u64, Arc<u64>, Hasher> = arcs.iter().cloned().collect();
    let bucket = larder::Bucket::builder("arcs")
        .hasher(hasher())
        .load_all(move || Ok::<_, Infallible>(Vec::clone(&arcs)))
        .build()
        .expect("the options are valid");
    bucket
        .refresh()
        .wait(Duration::from_secs(60))
        .expect("the source cannot fail");
    let other = bucket.clone();
    let key = u64::nth(HOT);
    let is_right = |got: Option<&Arc<u64>>| got.is_some_and(|got| **got == value(HOT));
    let by_reader = move |cores: &[usize], budget| {
        measure::hot(cores, budget, || {
            let mut reader = bucket.reader();
            move || is_right(reader.get(black_box(&key)))
        })
    };
    let by_peek = move |cores: &[usize], budget| {
        measure::hot(cores, budget, || {
            || is_right(other.peek(black_box(&key)).as_ref())
        })
    };
    let by_papaya = move |cores: &[usize], budget| {
        measure::hot(cores, budget, || {
            || is_right(papaya.pin().get(black_box(&key)).cloned().as_ref())
        })
    };
    let by_map = move |cores: &[usize], budget| {
        measure::hot(cores, budget, || {
            || is_right(map.get(black_box(&key)).cloned().as_ref())
        })
    };
    vec![
        (
            "larder Reader::get, Arc value borrowed",
            Box::new(by_reader),
        ),
        ("larder peek, Arc value cloned", Box::new(by_peek)),
        ("papaya, Arc value cloned", Box::new(by_papaya)),
        ("bare hashbrown map, Arc value cloned", Box::new(by_map)),
    ]
}
