//! The slow source: one table of an SQLite database, read through a few pooled connections.
//!
//! Works for any table that has a column of unique keys. A key is the text of that column, a row is
//! the text of all columns, written as SQL would write them, so that equal texts are equal rows.

mod check;

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, params_from_iter};

/// A key of the bucket: the text in the key column.
pub type Key = Arc<str>;

/// A row with its key.
pub type Pair = (Key, Arc<Row>);

/// One row, as the bucket keeps it.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The text in the key column.
    pub key: Key,
    /// How often the row was written; 0 in a table that does not count.
    pub revision: u64,
    /// What [`crate::ledger::seal`] made of key and revision; 0 in a table that has no seals.
    pub seal: u64,
    /// All columns, as SQL literals.
    pub text: Box<str>,
}

/// A table of a database that is opened read-only.
pub struct Table {
    file: PathBuf,
    /// Table and key column, quoted for SQL.
    table: String,
    key: String,
    /// Whether the table is the example's own, with the columns `revision` and `seal`.
    versioned: bool,
    idle: Mutex<Vec<Connection>>,
}

impl Table {
    /// Opens the table that this example has built.
    pub fn own(file: &Path) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            versioned: true,
            ..Self::checked(file, "character", "code")?
        })
    }

    /// Opens a user's table, or says what is wrong with it in words that the user can act on.
    pub fn checked(file: &Path, table: &str, key: &str) -> Result<Self, Box<dyn Error>> {
        let shown = file.display();
        let unreadable = |error: &dyn Error| format!("cannot open {shown}: {error}");
        if !std::fs::metadata(file)
            .map_err(|error| unreadable(&error))?
            .is_file()
        {
            return Err(format!("{shown} is not a file").into());
        }
        let db = connect(file).map_err(|error| unreadable(&error))?;
        db.execute_batch("SELECT count(*) FROM sqlite_schema")
            .map_err(|error| format!("{shown} is not a readable SQLite database: {error}"))?;
        let (table, key) = check::names(&db, table, key)?;
        check::keys(&db, &table, &key)?;
        let idle = Mutex::new(vec![db]);
        Ok(Self {
            file: file.into(),
            table,
            key,
            versioned: false,
            idle,
        })
    }

    /// Whether the rows of a batch can only be found by reading the whole table.
    pub fn is_scanned(&self) -> rusqlite::Result<bool> {
        let plan = format!(
            "EXPLAIN QUERY PLAN {} WHERE {} IN (?, ?)",
            self.select(),
            self.key
        );
        let step = self.with(|db| db.query_row(&plan, ["", ""], |row| row.get::<_, String>(3)))?;
        Ok(step.starts_with("SCAN"))
    }

    /// Whether the table has the columns `revision` and `seal` of the example's own.
    pub fn versioned(&self) -> bool {
        self.versioned
    }

    /// How many rows there are.
    pub fn count(&self) -> rusqlite::Result<u64> {
        let sql = format!("SELECT count(*) FROM {}", self.table);
        self.with(|db| db.query_row(&sql, [], |row| row.get::<_, i64>(0)))
            .map(|count| count as u64)
    }

    /// The rows of the given keys, in any order; keys without a row are left out.
    pub fn some(&self, keys: &[Key]) -> rusqlite::Result<Vec<Pair>> {
        let marks = vec!["?"; keys.len()].join(", ");
        let sql = format!("{} WHERE {} IN ({marks})", self.select(), self.key);
        let mut pairs = Vec::with_capacity(keys.len());
        self.read(&sql, keys, |row| pairs.push((Arc::clone(&row.key), row)))?;
        Ok(pairs)
    }

    /// All rows as of one moment; counts in `done` how far it is.
    pub fn all(&self, done: &AtomicU64) -> rusqlite::Result<Vec<Pair>> {
        done.store(0, Relaxed);
        let mut pairs = Vec::new();
        self.every(|row| {
            pairs.push((Arc::clone(&row.key), row));
            done.fetch_add(1, Relaxed);
        })?;
        Ok(pairs)
    }

    /// Every row, one by one, as of one moment.
    pub fn every(&self, each: impl FnMut(Arc<Row>)) -> rusqlite::Result<()> {
        self.read(&self.select(), &[], each)
    }

    fn select(&self) -> String {
        // The key comes first, as text, then the whole row.
        format!("SELECT CAST({} AS TEXT), * FROM {}", self.key, self.table)
    }

    fn read(
        &self,
        sql: &str,
        keys: &[Key],
        mut each: impl FnMut(Arc<Row>),
    ) -> rusqlite::Result<()> {
        self.with(|db| {
            let mut query = db.prepare(sql)?;
            let columns = query.column_count();
            let mut rows = query.query(params_from_iter(keys))?;
            while let Some(row) = rows.next()? {
                each(Arc::new(self.row(row, columns)?));
            }
            Ok(())
        })
    }

    fn row(&self, row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Row> {
        let mut text = String::new();
        for column in 1..columns {
            text.push_str(if column == 1 { "" } else { ", " });
            write_literal(&mut text, row.get_ref(column)?);
        }
        let own = |name| {
            if self.versioned {
                row.get::<_, i64>(name)
            } else {
                Ok(0)
            }
        };
        let (revision, seal) = (own("revision")?, own("seal")?);
        let key = row.get::<_, String>(0)?.into();
        Ok(Row {
            key,
            revision: revision as u64,
            seal: seal as u64,
            text: text.into(),
        })
    }

    /// Lends a connection to `work`; no lock is held meanwhile.
    fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let db = idle.map_or_else(|| connect(&self.file), Ok)?;
        let result = work(&db);
        self.put_back(db);
        result
    }

    fn put_back(&self, db: Connection) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(db);
    }
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    db.busy_timeout(Duration::from_secs(2))?;
    Ok(db)
}

fn write_literal(text: &mut String, value: ValueRef<'_>) {
    // Writing into a String cannot fail.
    let _ = match value {
        ValueRef::Null => write!(text, "NULL"),
        ValueRef::Integer(number) => write!(text, "{number}"),
        ValueRef::Real(number) => write!(text, "{number:?}"),
        ValueRef::Text(bytes) => {
            write!(
                text,
                "'{}'",
                String::from_utf8_lossy(bytes).replace('\'', "''")
            )
        }
        ValueRef::Blob(bytes) => {
            text.push_str("x'");
            bytes
                .iter()
                .try_for_each(|byte| write!(text, "{byte:02x}"))
                .and(write!(text, "'"))
        }
    };
}

#[cfg(test)]
mod tests;
