//! The designs of an immutable table side by side: just built, and copied with changes.

use std::time::Instant;

use super::memory;
use crate::args::Plan;
use crate::design::{Change, Chunked, Design, Laid, Pilots, Swiss};
use crate::measure::{self, Mode, Row};
use crate::report::{Report, Table, digits, grid, ratio, size as size_name, spread};
use crate::stats::Summary;
use crate::subject::Lane;
use crate::workload::{Dataset, Key, MISS, Rng, Stream, value};

/// The states in which the tables are read.
const STATES: [&str; 2] = ["just built", "copied with changes"];
/// What is asked of each.
const ASKED: [(&str, Mode); 3] = [
    ("present keys, throughput", Mode::Throughput),
    ("present keys, latency", Mode::Latency),
    ("absent keys, throughput", Mode::Throughput),
];

/// What is left of a size.
struct Measured {
    size: usize,
    /// By state, and what is asked.
    reads: [[Vec<Row>; ASKED.len()]; STATES.len()],
    /// Milliseconds, by design, for building and for copying.
    times: [Vec<(&'static str, Summary)>; 2],
}

/// Measures all sizes but the largest.
pub fn run(plan: &Plan, report: &mut Report) {
    let sizes = [1_000, 64_000, 1_000_000];
    let mut text = String::from(
        "Tables that are never written in place, with a `u64` as value and the same hasher, asked with a key. \
         *Copied with changes*: a copy of the table with new values for an eighth of the keys, and with 1 key in \
         64 removed and as many added. The chunked tables are a page of safe code each, after F14: seven pairs, \
         their fingerprints and a count of what overflowed side by side. `x` is against hashbrown's map.\n\n",
    );
    text += &keys::<u64>(plan, &sizes);
    text += &keys::<String>(plan, &sizes);
    text += &bytes(plan);
    report.section("Designs of a table", &text);
}

/// Returns the tables of `u64` keys at one size.
pub(super) fn at(plan: &Plan, size: usize) -> String {
    keys::<u64>(plan, &[size])
}

fn keys<K: Key + Default>(plan: &Plan, sizes: &[usize]) -> String {
    let all: Vec<Measured> = sizes
        .iter()
        .map(|&size| measure_size::<K>(plan, size))
        .collect();
    let mut text = String::new();
    for (state, name) in STATES.iter().enumerate() {
        for (asked, (what, _)) in ASKED.iter().enumerate() {
            let column = |one: &Measured| (size_name(one.size), one.reads[state][asked].clone());
            text += &format!("### {} keys, {name}, {what}\n\n", K::NAME);
            text += &grid(&all.iter().map(column).collect::<Vec<_>>());
        }
    }
    for (which, what) in ["building", "copying with changes"].iter().enumerate() {
        text += &format!("### {} keys, {what}\n\n", K::NAME);
        let heads = all.iter().flat_map(|one| [size_name(one.size), "x".into()]);
        let heads: Vec<_> = std::iter::once("ms".to_owned()).chain(heads).collect();
        let mut table = Table::new(&heads);
        for (design, (name, _)) in all[0].times[which].iter().enumerate() {
            let mut line = vec![(*name).to_owned()];
            for one in &all {
                let times = &one.times[which];
                let against = times[design].1.median / times[0].1.median;
                line.extend([spread(times[design].1), ratio(against)]);
            }
            table.row(&line);
        }
        text += &table.finish();
    }
    text
}

fn measure_size<K: Key + Default>(plan: &Plan, size: usize) -> Measured {
    eprintln!("  {} keys, {} entries", K::NAME, size_name(size));
    let data = Dataset::<K>::new(size);
    let mut made = Made {
        // Small ones take no time; the largest take seconds.
        times: match size {
            0..=100_000 => 9,
            100_001..=1_000_000 => plan.rounds.min(3),
            _ => 1,
        },
        changes: changes(size),
        data: &data,
        built: Vec::new(),
        copied: Vec::new(),
        ms: [Vec::new(), Vec::new()],
    };
    made.add::<Swiss<K>>();
    made.add::<Pilots<K>>();
    made.add::<Chunked<K, 75>>();
    made.add::<Chunked<K, 85>>();
    let Made {
        built, copied, ms, ..
    } = made;
    let reads = [(built, 0), (copied, gone(size))].map(|(lanes, shift)| {
        let streams = [
            stream::<K>(size, shift, false),
            stream::<K>(size, shift, true),
        ];
        let mut nth = 0;
        ASKED.map(|(_, mode)| {
            let stream = &streams[nth / 2];
            nth += 1;
            let budget = plan.budget / 2;
            measure::rounds(&lanes, stream, mode, plan.rounds.min(5), budget)
        })
    });
    Measured {
        size,
        reads,
        times: ms,
    }
}

/// The tables of one size, design by design.
struct Made<'a, K: Key> {
    times: usize,
    changes: Vec<(u64, Option<u64>)>,
    data: &'a Dataset<K>,
    built: Vec<Box<dyn Lane<K>>>,
    copied: Vec<Box<dyn Lane<K>>>,
    ms: [Vec<(&'static str, Summary)>; 2],
}

impl<K: Key> Made<'_, K> {
    fn add<D: Design<K>>(&mut self) {
        let (mut building, mut copying) = (Vec::new(), Vec::new());
        let ms = |start: Instant| start.elapsed().as_secs_f64() * 1e3;
        let mut last = None;
        for _ in 0..self.times {
            drop(last.take());
            let start = Instant::now();
            let table = D::build(self.data.iter());
            building.push(ms(start));
            let changes = self.changes.iter();
            let changes = changes.map(|&(index, value)| Change::new(K::nth(index), value));
            let changes = changes.collect();
            let start = Instant::now();
            let copy = table.patched(changes);
            copying.push(ms(start));
            last = Some((table, copy));
        }
        let (table, copy) = last.expect("at least one of each is made");
        self.built.push(Box::new(Laid(table)));
        self.copied.push(Box::new(Laid(copy)));
        self.ms[0].push((D::NAME, Summary::of(&building)));
        self.ms[1].push((D::NAME, Summary::of(&copying)));
    }
}

/// How many keys go, the first ones, and how many come.
fn gone(size: usize) -> u64 {
    size as u64 / 64
}

fn is_replaced(size: u64, index: u64) -> bool {
    index < size && index % 8 == 3
}

/// The changes of a copy, in the order of the indices, which is none of the hashes'.
fn changes(size: usize) -> Vec<(u64, Option<u64>)> {
    let (gone, size) = (gone(size), size as u64);
    let removed = (0..gone).map(|index| (index, None));
    let kept = (gone..size).filter(|&index| is_replaced(size, index));
    let others = kept.chain(size..size + gone);
    removed
        .chain(others.map(|index| (index, Some(answer(size, true, index)))))
        .collect()
}

/// The value of an entry in a table, or in its copy.
fn answer(size: u64, is_copy: bool, index: u64) -> u64 {
    value(index) ^ u64::from(is_copy && is_replaced(size, index))
}

/// Queries of a table whose keys begin `shift` after those of the one just built.
fn stream<K: Key>(size: usize, shift: u64, absent: bool) -> Stream<K> {
    let length = Stream::<K>::length(size).min(1 << 20);
    let mut rng = Rng::new(53);
    let size = size as u64;
    let from = if absent { 2 * size } else { shift };
    let indices: Vec<u64> = (0..length).map(|_| from + rng.below(size)).collect();
    Stream::of(&indices, |index| match absent {
        true => MISS,
        false => answer(size, shift > 0, index),
    })
}

/// Counts the bytes of each, in a process of its own.
fn bytes(plan: &Plan) -> String {
    let entries = if plan.is_quick() { "200000" } else { "1000000" };
    let facts = match memory::count(&[entries, "designs"]) {
        Ok(facts) => facts,
        Err(why) => return format!("Bytes were not counted: {why}\n\n"),
    };
    let mut table = Table::new(&[
        "bytes a key, u64 to u64",
        "just built",
        "copied with changes",
    ]);
    for pair in facts.chunks(2) {
        let cells = pair.iter().map(|(_, bytes)| digits(*bytes));
        let line: Vec<_> = std::iter::once(pair[0].0.clone()).chain(cells).collect();
        table.row(&line);
    }
    format!("### Memory, {entries} entries\n\n{}", table.finish())
}

/// Builds each design with `u64` keys and copies it with changes. Calls `each` with the name, and the bytes that
/// `live` says each took.
pub fn weigh(size: usize, mut live: impl FnMut() -> isize, mut each: impl FnMut(&str, isize)) {
    let data = Dataset::<u64>::new(size);
    let changes = changes(size);
    weigh_one::<Swiss<u64>>(&data, &changes, &mut live, &mut each);
    weigh_one::<Pilots<u64>>(&data, &changes, &mut live, &mut each);
    weigh_one::<Chunked<u64, 75>>(&data, &changes, &mut live, &mut each);
    weigh_one::<Chunked<u64, 85>>(&data, &changes, &mut live, &mut each);
}

fn weigh_one<D: Design<u64>>(
    data: &Dataset<u64>,
    changes: &[(u64, Option<u64>)],
    live: &mut impl FnMut() -> isize,
    each: &mut impl FnMut(&str, isize),
) {
    let before = live();
    let table = D::build(data.iter());
    let built = live();
    each(D::NAME, built - before);
    let changes = changes.iter();
    let changes = changes.map(|&(index, value)| Change::new(u64::nth(index), value));
    let copy = table.patched(changes.collect());
    each(D::NAME, live() - built);
    drop(copy);
}
