//! P4: the slowest reads of a bucket while another thread publishes without rest.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::tail_frees;
use crate::args::Plan;
use crate::machine;
use crate::plot::{Chart, Look, Series};
use crate::report::{Report, Table, Verdict, digits, ratio, size};
use crate::stats::{Summary, percentile};
use crate::subject::larder::{Shelf, shelf};
use crate::workload::{Asked, Dataset, Key, Rng, draw_indices, value};

const ENTRIES: usize = 1_000_000;
/// Bytes that the bystander copies at a time.
const BLOCK: usize = 16 << 20;
const PERCENTS: [f64; 4] = [50.0, 99.0, 99.9, 99.99];
const NAMES: [&str; 5] = ["p50", "p99", "p99.9", "p99.99", "max"];

/// What else runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Beside {
    Nothing,
    /// A thread that copies memory and has nothing to do with the bucket.
    Copying,
    /// A thread that writes, and one that publishes without rest.
    Publishing,
}

impl Beside {
    const ALL: [Self; 3] = [Self::Nothing, Self::Copying, Self::Publishing];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "idle",
            Self::Copying => "beside a memory copy",
            Self::Publishing => "beside writing and publishing",
        }
    }

    fn short(self) -> &'static str {
        match self {
            Self::Nothing => "idle",
            Self::Copying => "memory copy",
            Self::Publishing => "publishing",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum By {
    Reader,
    Peek,
}

/// Measures percentiles of single reads, in interleaved rounds.
pub fn run(plan: &Plan, report: &mut Report) {
    let chart = at(plan, ENTRIES, report);
    report.chart("tail", chart);
    tail_frees::run(plan, report);
}

/// The same at one size, without the values that are freed. Returns a picture of it.
pub(super) fn at(plan: &Plan, entries: usize, report: &mut Report) -> Chart {
    let cores = machine::cores();
    let (mine, theirs) = (cores[0], cores[1 % cores.len()]);
    // All threads of the bucket inherit the core of the thread that builds it.
    let (bucket, probe) = thread::spawn(move || {
        machine::pin(theirs);
        (
            shelf("tail", &Dataset::<u64>::new(entries)),
            Probe::new(entries),
        )
    })
    .join()
    .expect("the bucket can be built");

    let mut tails = vec![[const { Vec::new() }; 5]; 6];
    let activity = Activity::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            machine::pin(mine);
            let budget = 20 * plan.budget;
            let mut samples = vec![1; 8_000_000];
            for round in 0..plan.rounds.min(5) {
                for (nth, beside) in Beside::ALL.into_iter().enumerate() {
                    for (by, lane) in [(By::Reader, nth), (By::Peek, 3 + nth)] {
                        samples.clear();
                        let at = round * probe.keys.len() / 5;
                        with(beside, &bucket, theirs, &activity, || match by {
                            By::Reader => {
                                let mut reader = bucket.reader();
                                probe.sample(
                                    |key| reader.get(key).copied(),
                                    at,
                                    budget,
                                    &mut samples,
                                );
                            }
                            By::Peek => {
                                probe.sample(|key| bucket.peek(key), at, budget, &mut samples);
                            }
                        });
                        samples.sort_unstable();
                        let tail = PERCENTS.map(|q| percentile(&samples, q));
                        let tail = tail.into_iter().chain(samples.last().copied());
                        for (kept, ns) in tails[lane].iter_mut().zip(tail) {
                            kept.push(f64::from(ns));
                        }
                    }
                }
            }
        });
    });
    write(plan, entries, &tails, &activity, report)
}

/// What the background threads did.
#[derive(Debug, Default)]
struct Activity {
    writes: AtomicU64,
    publishes: AtomicU64,
    copies: AtomicU64,
}

/// Does `work` on this thread while what goes on beside it does so on `core`.
fn with(beside: Beside, bucket: &Shelf<u64>, core: usize, did: &Activity, work: impl FnOnce()) {
    let (running, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let until = |turn: &mut dyn FnMut(), count: &AtomicU64| {
        running.fetch_add(1, Ordering::Relaxed);
        while !stop.load(Ordering::Relaxed) {
            turn();
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let copy = || {
        machine::pin(core);
        let (from, mut to) = (vec![1_u8; BLOCK], vec![1_u8; BLOCK]);
        let mut copy = || black_box(&mut to).copy_from_slice(black_box(&from));
        until(&mut copy, &did.copies);
    };
    let write = || {
        machine::pin(core);
        let (mut rng, entries) = (Rng::new(5), bucket.len() as u64);
        let mut set = || {
            let index = rng.below(entries);
            let version = rng.next_u64() & 0xff;
            bucket.set(u64::nth(index), (value(index) & !0xff) | version);
        };
        until(&mut set, &did.writes);
    };
    let publish = || {
        machine::pin(core);
        let mut publish = || {
            bucket.publish().expect("the bucket is open");
        };
        until(&mut publish, &did.publishes);
    };
    let all: &[&(dyn Fn() + Sync)] = match beside {
        Beside::Nothing => &[],
        Beside::Copying => &[&copy],
        Beside::Publishing => &[&write, &publish],
    };
    thread::scope(|scope| {
        for other in all {
            scope.spawn(other);
        }
        while running.load(Ordering::Relaxed) < all.len() {
            thread::yield_now();
        }
        // Stops the threads also when a wrong answer panics; or the scope would wait for ever.
        let _stop = OnDrop(|| stop.store(true, Ordering::Relaxed));
        work();
    });
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What the reader asks for, and the answers but for their last byte, which the writer changes.
struct Probe {
    keys: Vec<u64>,
    answers: Vec<u64>,
}

impl Probe {
    fn new(entries: usize) -> Self {
        let indices = draw_indices(entries as u64, Asked::Uniform, 1 << 20, 23);
        Self {
            keys: indices.iter().map(|&index| u64::nth(index)).collect(),
            answers: indices.iter().map(|&index| value(index) >> 8).collect(),
        }
    }

    fn sample(
        &self,
        mut view: impl FnMut(&u64) -> Option<u64>,
        from: usize,
        budget: Duration,
        samples: &mut Vec<u32>,
    ) {
        let end = Instant::now() + budget;
        let mut at = from;
        while samples.len() < samples.capacity() {
            at = if at + 1 < self.keys.len() { at + 1 } else { 0 };
            let before = Instant::now();
            let got = view(&self.keys[at]);
            let after = Instant::now();
            assert_eq!(
                got.map(|got| got >> 8),
                Some(self.answers[at]),
                "wrong answer"
            );
            samples.push((after - before).as_nanos().try_into().unwrap_or(u32::MAX));
            if after >= end {
                break;
            }
        }
    }
}

fn write(
    plan: &Plan,
    entries: usize,
    tails: &[[Vec<f64>; 5]],
    did: &Activity,
    report: &mut Report,
) -> Chart {
    let entries = size(entries);
    let median = |lane: usize, column: usize| Summary::of(&tails[lane][column]).median;
    for (name, first) in [("Reader::get", 0), ("peek", 3)] {
        let ratios = tails[first + 2][2]
            .iter()
            .zip(&tails[first][2])
            .map(|(busy, idle)| busy / idle);
        let got = Summary::of(&ratios.collect::<Vec<_>>()).median;
        report.verdict(Verdict {
            target: "P4",
            what: format!("{name}, p99.9 while publishing against idle, {entries}"),
            value: ratio(got),
            limit: "<= 2x".into(),
            met: Some(got <= 2.0),
        });
        for column in [3, 4] {
            let all: Vec<String> = (first..first + 3)
                .map(|lane| digits(median(lane, column) / 1e3))
                .collect();
            report.verdict(Verdict {
                target: "P4",
                what: format!(
                    "{name}, {}, idle / beside a copy / publishing, {entries}",
                    NAMES[column]
                ),
                value: format!("{} us", all.join(" / ")),
                limit: "reported".into(),
                met: None,
            });
        }
    }
    let mut table = Table::new(&[&["ns a read"], &NAMES[..], &["worst of all"]].concat());
    let mut series = Vec::new();
    for (lane, columns) in tails.iter().enumerate() {
        let beside = Beside::ALL[lane % 3];
        let by = if lane < 3 { "Reader::get" } else { "peek" };
        let name = format!("{by}, {}", beside.name());
        let worst = digits(Summary::of(&columns[4]).max);
        let medians: Vec<f64> = (0..5).map(|column| median(lane, column)).collect();
        let cells = medians.iter().map(|&ns| digits(ns));
        table.row(
            &std::iter::once(name)
                .chain(cells)
                .chain([worst])
                .collect::<Vec<_>>(),
        );
        let look = match beside {
            Beside::Nothing => Look::floor().solid(),
            Beside::Copying => Look::other(1),
            Beside::Publishing => Look::strong(0),
        };
        let look = if lane < 3 { look } else { look.dashed() };
        series.push(Series {
            name: format!("{by}, {}", beside.short()),
            points: medians.into_iter().map(Some).collect(),
            look,
        });
    }
    let count = |count: &AtomicU64| digits(count.load(Ordering::Relaxed) as f64);
    let text = format!(
        "{entries} entries, uniform hits. Reads one at a time, each between two looks at the clock \
         (which are in the numbers: {} ns). The reader has a core to itself, the bucket's threads \
         and what else runs share another. A read that follows a slow one is not delayed by it: \
         the numbers are service times. Medians of {} rounds of {:.1} s; in them {} writes and {} \
         publishes, or {} copies of 16 MB.\n\n",
        digits(clock_ns()),
        plan.rounds.min(5),
        20.0 * plan.budget.as_secs_f64(),
        count(&did.writes),
        count(&did.publishes),
        count(&did.copies),
    );
    report.section(
        &format!("P4: the tail while publishing, {entries} entries"),
        &(text + &table.finish()),
    );
    Chart {
        title: "Slow reads while the bucket publishes without rest".into(),
        subtitle: format!(
            "{entries} entries, uniform hits, one read at a time, {}",
            machine::cpu()
        ),
        x_label: "percentile of reads",
        y_label: "ns a read (less is better)",
        positions: NAMES.map(String::from).to_vec(),
        series,
    }
}

fn clock_ns() -> f64 {
    let mut samples: Vec<u32> = (0..10_000)
        .map(|_| {
            let before = Instant::now();
            (Instant::now() - before).as_nanos() as u32
        })
        .collect();
    samples.sort_unstable();
    f64::from(percentile(&samples, 50.0))
}
