//! Run with: `cargo run --example streaming`
//!
//! Four workers consume streams of payments and need the account of each. They share one bucket,
//! and ask for the accounts of the next chunk while they work on this one: so accounts come in
//! batches, what one worker has loaded is there for all, and nobody waits for a single one.

#![allow(
    clippy::disallowed_methods,
    reason = "sleeps stand in for work and for a database"
)]

use std::collections::HashSet;
use std::error::Error;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use larder::Bucket;

const WORKERS: u64 = 4;
const CHUNKS: u64 = 50;
const CHUNK: u64 = 20;
const ACCOUNTS: u64 = 500;

static CALLS: AtomicU64 = AtomicU64::new(0);
static LOADED: AtomicU64 = AtomicU64::new(0);

fn main() -> Result<(), Box<dyn Error>> {
    let owners = Bucket::<u64, String>::builder("owners")
        .bulk_load(|accounts: &[u64]| {
            CALLS.fetch_add(1, Relaxed);
            LOADED.fetch_add(accounts.len() as u64, Relaxed);
            slow_query(accounts)
        })
        .batch_size(100)
        .build()?;

    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let owners = &owners;
            scope.spawn(move || consume(owners, worker));
        }
    });

    let all = (0..WORKERS).flat_map(|worker| (0..CHUNKS).flat_map(move |n| chunk(worker, n)));
    let distinct = all.collect::<HashSet<_>>().len() as u64;
    let (calls, loaded) = (CALLS.load(Relaxed), LOADED.load(Relaxed));
    let payments = WORKERS * CHUNKS * CHUNK;
    println!("{payments} payments of {distinct} accounts: {loaded} loaded, in {calls} calls");
    assert_eq!(owners.len() as u64, distinct);
    // Two workers may ask for one account within a moment; that is all that is loaded twice.
    assert!(
        (distinct..2 * distinct).contains(&loaded),
        "accounts are shared"
    );
    assert!(
        calls <= WORKERS * CHUNKS,
        "a request is not torn into many calls"
    );
    Ok(())
}

/// Handles all payments of one stream, a chunk at a time.
fn consume(owners: &Bucket<u64, String>, worker: u64) {
    // Accounts that are there already are not asked for again: that would reload them.
    let ask = |n| {
        let new = chunk(worker, n).filter(|account| owners.peek(account).is_none());
        owners.request_load(new)
    };
    let mut asked = ask(0);
    for n in 0..CHUNKS {
        let ahead = ask(n + 1);
        assert!(asked.rejected().is_empty(), "the queue is full");
        assert!(asked.wait(Duration::from_secs(10)), "the loader hangs");
        for account in chunk(worker, n) {
            assert_eq!(owners.get(&account), Some(format!("owner of {account}")));
        }
        // Whatever else the payments need.
        thread::sleep(Duration::from_millis(2));
        asked = ahead;
    }
}

/// The accounts of the payments in a chunk; there is none after the last.
fn chunk(worker: u64, n: u64) -> impl Iterator<Item = u64> {
    let payments = if n < CHUNKS { 0..CHUNK } else { 0..0 };
    payments.map(move |payment| {
        let id = (worker * CHUNKS + n) * CHUNK + payment;
        id.wrapping_mul(0x9e37_79b9_7f4a_7c15) % ACCOUNTS
    })
}

/// Stands in for a database that is far away.
fn slow_query(accounts: &[u64]) -> Result<Vec<(u64, String)>, Box<dyn Error + Send + Sync>> {
    thread::sleep(Duration::from_millis(1));
    Ok(accounts
        .iter()
        .map(|account| (*account, format!("owner of {account}")))
        .collect())
}
