//! The bucket over the table. This file is all that an application would have to write.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use larder::{Bucket, BuildError};

use crate::table::{Key, Row, Table};

/// The rows of a table by their keys, in memory.
pub type Catalog = Bucket<Key, Arc<Row>>;

/// Builds the bucket, still empty: [`warm`](crate::warm) fills it, any read of a key loads it.
pub fn over(table: Arc<Table>, traffic: Arc<Traffic>) -> Result<Catalog, BuildError> {
    let (rows, counted) = (Arc::clone(&table), Arc::clone(&traffic));
    Bucket::builder("catalog")
        // Misses, and what is asked for ahead: up to 256 keys in one SELECT.
        .bulk_load(move |keys| {
            counted.batches.fetch_add(1, Relaxed);
            counted.keys.fetch_add(keys.len() as u64, Relaxed);
            rows.some(keys)
        })
        .batch_size(256)
        .loader_threads(2)
        // The whole table, once a second: it brings what changed without anybody saying so.
        .load_all(move || {
            traffic.tables.fetch_add(1, Relaxed);
            table.all(&traffic.rows)
        })
        .refresh_every(Duration::from_secs(1))
        .build()
}

/// What the loaders were asked for.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Calls of the batch loader.
    pub batches: AtomicU64,
    /// Keys in all those calls.
    pub keys: AtomicU64,
    /// Loads of the whole table.
    pub tables: AtomicU64,
    /// Rows read so far by the load of the whole table that runs, or ran last.
    pub rows: AtomicU64,
}
