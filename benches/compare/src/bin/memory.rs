//! Counts bytes and allocations (P9, P11), or the bytes of the designs of a table. Prints lines
//! `name<TAB>number`. Operands: how many entries, and `designs`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder_compare::experiments::designs;
use larder_compare::subject::larder::{Shelf, shelf};
use larder_compare::subject::{self, Map};
use larder_compare::workload::{Dataset, Key, value};

#[global_allocator]
static COUNTING: Counting = Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count(change: isize) {
        let live = LIVE.fetch_add(change, Ordering::Relaxed) + change;
        PEAK.fetch_max(live, Ordering::Relaxed);
        // Fails while a thread ends; nobody counts then.
        let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
    }
}

// SAFETY: every call goes to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Self::count(-(layout.size() as isize));
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size as isize - layout.size() as isize);
        // SAFETY: guaranteed by the caller.
        unsafe { System.realloc(block, layout, size) }
    }
}

fn main() {
    let entries = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000);
    if std::env::args().nth(2).as_deref() == Some("designs") {
        let each = |name: &str, bytes| println!("{name}\t{:.2}", bytes as f64 / entries as f64);
        designs::weigh(entries, settled, each);
        return;
    }
    let data = Dataset::<u64>::new(entries);
    let a_key = |bytes: isize| bytes as f64 / entries as f64;

    let before = settled();
    let bucket = shelf("memory", &data);
    let table = settled() - before;
    println!("larder\t{:.2}", a_key(table));
    PEAK.store(LIVE.load(Ordering::Relaxed), Ordering::Relaxed);
    bucket
        .refresh()
        .wait(Duration::from_secs(120))
        .expect("the source cannot fail");
    let peak = PEAK.load(Ordering::Relaxed) - before;
    println!("peak\t{:.3}", peak as f64 / table as f64);
    println!(
        "larder, after a second refresh\t{:.2}",
        a_key(settled() - before)
    );
    data.iter()
        .take(entries / 10)
        .for_each(|(key, value)| bucket.set(key, value));
    bucket.publish().expect("the bucket is open");
    println!(
        "larder, after writing a tenth again\t{:.2}",
        a_key(settled() - before)
    );
    hits(&bucket, entries as u64, "idle");
    beside_writes(&bucket, entries as u64);
    drop(bucket);
    strings();

    let before = settled();
    let map: Map<u64> = data.iter().collect();
    println!("bare hashbrown map\t{:.2}", a_key(settled() - before));
    drop(map);
    for fill in subject::rivals() {
        let before = settled();
        let lane = fill(&data);
        println!("{}\t{:.2}", lane.name(), a_key(settled() - before));
    }
}

/// Waits until background threads free nothing any more, and returns the live bytes.
fn settled() -> isize {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut last = LIVE.load(Ordering::Relaxed);
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(100) {
        assert!(Instant::now() < deadline, "memory does not come to rest");
        thread::yield_now();
        let live = LIVE.load(Ordering::Relaxed);
        // Small change is bookkeeping, as of channels and epochs.
        if (live - last).abs() > 4096 {
            (last, since) = (live, Instant::now());
        }
    }
    LIVE.load(Ordering::Relaxed)
}

/// Counts what this thread allocates and frees while it hits.
fn hits(bucket: &Shelf<u64>, entries: u64, when: &str) {
    let mut reader = bucket.reader();
    let keys: Vec<u64> = (0..entries).map(u64::nth).collect();
    // The first read of a thread may set up what it announces itself with.
    assert_eq!(
        (bucket.peek(&keys[0]), bucket.get(&keys[0])),
        (Some(value(0)), Some(value(0)))
    );
    assert_eq!(reader.get(&keys[0]), Some(&value(0)));
    let count = |name: &str, read: &mut dyn FnMut(&u64) -> Option<u64>| {
        let before = CALLS.get();
        let right = (0..entries)
            .filter(|&i| read(&keys[i as usize]) == Some(value(i)))
            .count();
        let calls = CALLS.get() - before;
        assert_eq!(right as u64, entries, "wrong answers");
        println!("allocator calls in {entries} hits, {name}, {when}\t{calls}");
    };
    count("Reader::get", &mut |key| reader.get(key).copied());
    count("peek", &mut |key| bucket.peek(key));
    count("get", &mut |key| bucket.get(key));
}

/// The same while another thread writes other values of the same keys back and publishes.
fn beside_writes(bucket: &Shelf<u64>, entries: u64) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut index = 0;
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..1000 {
                    bucket.set(u64::nth(index), value(index));
                    index = (index + 1) % entries;
                }
                bucket.publish().expect("the bucket is open");
            }
        });
        let counted = scope
            .spawn(|| hits(bucket, entries, "while publishing"))
            .join();
        stop.store(true, Ordering::Relaxed);
        counted.expect("answers are right");
    });
}

/// Hits of `String` keys, asked by `&str`.
fn strings() {
    let entries = 100_000;
    let data = Dataset::<String>::new(entries);
    let bucket = shelf("strings", &data);
    let mut reader = bucket.reader();
    let mut calls = 0;
    // The first round sets up what the thread needs; the second counts.
    for _ in 0..2 {
        let before = CALLS.get();
        for (key, value) in data.pairs.iter() {
            let key: &str = black_box(key);
            assert_eq!(reader.get(key), Some(value));
            assert_eq!(bucket.peek(key), Some(*value));
            assert_eq!(bucket.get(key), Some(*value));
        }
        calls = CALLS.get() - before;
    }
    println!(
        "allocator calls in {} hits of String keys, all three reads\t{calls}",
        3 * entries
    );
}
