//! The measured loops, and the rounds that interleave them.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::machine;
use crate::stats::Summary;
use crate::subject::{Lane, Subject};
use crate::workload::{CHUNK, Key, MISS, Queries, Stream};

/// The two ways to measure a read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Reads that do not depend on each other: the processor overlaps them.
    Throughput,
    /// A chain in which each key depends on the value just read.
    Latency,
}

/// What one measurement of one subject gave.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Nanoseconds a read.
    pub ns: f64,
    /// How many reads were timed.
    pub reads: u64,
}

/// Reads `stream` from `subject`: once round (bounded), to bring back what the other subjects
/// drove out of the processor's caches, then for `budget`, which is what counts.
///
/// # Panics
///
/// If an answer is wrong.
pub fn read<K: Key, S: Subject<K>>(
    subject: &S,
    stream: &Stream<K>,
    mode: Mode,
    chunk: usize,
    budget: Duration,
) -> Reading {
    let mut handle = subject.handle();
    let mut at = chunk % stream.chunks();
    let mut pass = |mode: Mode, chunks: usize, budget: Duration| {
        let start = Instant::now();
        let mut done = 0;
        loop {
            let sum = match mode {
                Mode::Throughput => independent::<K, S>(&mut handle, &stream.queries, at * CHUNK),
                Mode::Latency => chained::<K, S>(&mut handle, &stream.queries, at * CHUNK),
            };
            assert_eq!(sum, stream.sums[at], "wrong answers in chunk {at}");
            at = (at + 1) % stream.chunks();
            done += 1;
            let spent = start.elapsed();
            if done == chunks || spent >= budget {
                let reads = (done * CHUNK) as u64;
                return Reading {
                    ns: spent.as_nanos() as f64 / reads as f64,
                    reads,
                };
            }
        }
    };
    pass(Mode::Throughput, stream.chunks(), 2 * budget);
    pass(mode, usize::MAX, budget)
}

#[inline(never)]
fn independent<K: Key, S: Subject<K>>(
    handle: &mut S::Handle<'_>,
    queries: &K::Queries,
    from: usize,
) -> u64 {
    let mut sum = 0_u64;
    queries.each(from..from + CHUNK, |query| {
        sum = sum.wrapping_add(S::get(handle, query).unwrap_or(MISS));
    });
    sum
}

#[inline(never)]
fn chained<K: Key, S: Subject<K>>(
    handle: &mut S::Handle<'_>,
    queries: &K::Queries,
    from: usize,
) -> u64 {
    let (mut sum, mut salt) = (0_u64, 0);
    for i in from..from + CHUNK {
        let value = queries.with(i, salt, |query| S::get(handle, query).unwrap_or(MISS));
        sum = sum.wrapping_add(value);
        salt = value >> 63;
    }
    sum
}

/// Calls what `make` returns over and over on a thread per core, pinned to it, until the first of
/// them has used up `budget`. Returns ns a call for each thread.
///
/// # Panics
///
/// If a call returns false: it stands for a wrong answer.
pub fn hot<R: FnMut() -> bool>(
    cores: &[usize],
    budget: Duration,
    make: impl Fn() -> R + Sync,
) -> Vec<f64> {
    let (start, stop) = (Barrier::new(cores.len()), AtomicBool::new(false));
    let run = |core: usize| {
        machine::pin(core);
        let mut call = make();
        start.wait();
        let begin = Instant::now();
        let mut calls = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            let right = (0..CHUNK).map(|_| u32::from(call())).sum::<u32>();
            assert_eq!(right as usize, CHUNK, "wrong answers");
            calls += CHUNK as u64;
            if begin.elapsed() >= budget {
                stop.store(true, Ordering::Relaxed);
            }
        }
        begin.elapsed().as_nanos() as f64 / calls as f64
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = cores
            .iter()
            .map(|&core| scope.spawn(move || run(core)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("answers are right"))
            .collect()
    })
}

/// One subject's share of a table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The subject.
    pub name: &'static str,
    /// Nanoseconds a read.
    pub ns: Summary,
    /// Against the first subject, round by round.
    pub ratio: Summary,
}

/// Measures all `lanes` in interleaved rounds; the order moves on by one each round.
pub fn rounds<K: Key>(
    lanes: &[Box<dyn Lane<K>>],
    stream: &Stream<K>,
    mode: Mode,
    rounds: usize,
    budget: Duration,
) -> Vec<Row> {
    let mut samples = vec![Vec::new(); lanes.len()];
    for round in 0..rounds {
        let chunk = round * stream.chunks() / rounds;
        for turn in 0..lanes.len() {
            let lane = (turn + round) % lanes.len();
            samples[lane].push(lanes[lane].read(stream, mode, chunk, budget).ns);
        }
    }
    let floor = &samples[0];
    let row = |lane: usize| {
        let ns: &[f64] = &samples[lane];
        let ratios: Vec<f64> = ns.iter().zip(floor).map(|(ns, floor)| ns / floor).collect();
        Row {
            name: lanes[lane].name(),
            ns: Summary::of(ns),
            ratio: Summary::of(&ratios),
        }
    };
    (0..lanes.len()).map(row).collect()
}

/// Times `work`, once.
pub fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}
