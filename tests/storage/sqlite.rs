//! A storage that is a real one: a table of an SQLite database. It is no more than the trait asks for.

use std::path::{Path, PathBuf};

use larder::storage::{Change, Entry, Expiry, Storage, conformance};
use larder::{BoxError, Bucket, ManualClock};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::common::bounded;
use crate::kit::SECOND;

/// Each call is a transaction, so what is there is always one snapshot of the bucket.
struct Sqlite(Connection);

impl Sqlite {
    fn open(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS entries (
                     key TEXT PRIMARY KEY, value INTEGER, expires INTEGER, written INTEGER
                 );
                 CREATE TABLE IF NOT EXISTS version (version INTEGER);",
            )
            .unwrap();
        Self(connection)
    }
}

/// SQLite's integers have a sign, and as many bits.
fn put(to: &Transaction<'_>, entry: &Entry<'_, String, u64>) -> rusqlite::Result<usize> {
    let expires = entry.expiry.map(|expiry| expiry.expires_ms.cast_signed());
    let written = entry.expiry.map(|expiry| expiry.written_ms.cast_signed());
    to.execute(
        "INSERT OR REPLACE INTO entries VALUES (?1, ?2, ?3, ?4)",
        params![entry.key, entry.value.cast_signed(), expires, written],
    )
}

impl Storage<String, u64> for Sqlite {
    fn load(&mut self, each: &mut dyn FnMut(String, u64, Option<Expiry>)) -> Result<u64, BoxError> {
        let from = self.0.transaction()?;
        let mut select = from.prepare("SELECT key, value, expires, written FROM entries")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let times: (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
            let expiry = times.0.zip(times.1).map(|(expires, written)| Expiry {
                expires_ms: expires.cast_unsigned(),
                written_ms: written.cast_unsigned(),
            });
            let value: i64 = row.get(1)?;
            each(row.get(0)?, value.cast_unsigned(), expiry);
        }
        let version = from.query_row("SELECT version FROM version", [], |row| row.get(0));
        Ok(version.optional()?.map_or(0, i64::cast_unsigned))
    }

    fn apply(
        &mut self,
        changes: &mut dyn Iterator<Item = Change<'_, String, u64>>,
    ) -> Result<(), BoxError> {
        let to = self.0.transaction()?;
        for change in changes {
            match change {
                Change::Put(entry) => put(&to, &entry)?,
                Change::Remove(key) => to.execute("DELETE FROM entries WHERE key = ?1", [key])?,
            };
        }
        Ok(to.commit()?)
    }

    fn replace(
        &mut self,
        version: u64,
        entries: &mut dyn Iterator<Item = Entry<'_, String, u64>>,
    ) -> Result<(), BoxError> {
        let to = self.0.transaction()?;
        to.execute_batch("DELETE FROM entries; DELETE FROM version")?;
        to.execute("INSERT INTO version VALUES (?1)", [version.cast_signed()])?;
        for entry in entries {
            put(&to, &entry)?;
        }
        Ok(to.commit()?)
    }
}

/// A file that goes when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let name = format!("larder-storage-{test}-{}.sqlite", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_database_passes_the_checks() {
    bounded(|| {
        let scratch = Scratch::new("checks");
        let open = || Sqlite::open(&scratch.0);
        conformance::check(open, |number| format!("key {number}"), u64::from);
    });
}

#[test]
fn a_bucket_begins_with_what_is_in_the_database() {
    bounded(|| {
        let (scratch, time) = (Scratch::new("bucket"), ManualClock::new());
        let prices = || {
            let bucket = Bucket::<String, u64>::builder("prices").clock(time.clock());
            bucket.storage(Sqlite::open(&scratch.0)).build().unwrap()
        };
        let bucket = prices();
        bucket.set_many((0..1000).map(|key| (key.to_string(), key)));
        bucket.set_with_ttl("soon gone".into(), 1, 10 * SECOND);
        bucket.reset(3).unwrap();
        bucket.set_many([("tea".into(), 3), ("salt".into(), u64::MAX)]);
        bucket.set_with_ttl("milk".into(), 2, 10 * SECOND);
        bucket.shutdown();
        let bucket = prices();
        assert_eq!((bucket.len(), bucket.version()), (3, 3));
        assert_eq!(
            (bucket.peek("tea"), bucket.peek("salt")),
            (Some(3), Some(u64::MAX))
        );
        bucket.invalidate("tea");
        drop(bucket);
        time.advance(10 * SECOND);
        let bucket = prices();
        assert_eq!((bucket.len(), bucket.peek("salt")), (1, Some(u64::MAX)));
    });
}
