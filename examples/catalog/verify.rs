//! The last word: every row in memory against every row in SQLite.

use std::error::Error;
use std::time::Duration;

use crate::catalog::Catalog;
use crate::report::chain;
use crate::table::Table;

/// Refreshes, then compares all rows one by one; returns how many there are, and what is wrong.
///
/// Another program may write to a database that is not ours between the refresh and the comparison:
/// then both are done again, a few times.
pub fn every_row(catalog: &Catalog, table: &Table) -> Result<(u64, Vec<String>), Box<dyn Error>> {
    let tries = if table.versioned() { 1 } else { 3 };
    let mut verdict = (0, Vec::new());
    for _ in 0..tries {
        let fresh = catalog.refresh().wait(Duration::from_secs(60));
        fresh
            .and_then(|()| catalog.publish())
            .map_err(|error| format!("in the last refresh: {}", chain(&error)))?;
        verdict = compare(catalog, table)?;
        if verdict.1.is_empty() {
            break;
        }
    }
    Ok(verdict)
}

fn compare(catalog: &Catalog, table: &Table) -> rusqlite::Result<(u64, Vec<String>)> {
    let snapshot = catalog.snapshot();
    let (mut rows, mut wrong) = (0, Vec::new());
    table.every(|row| {
        rows += 1;
        match snapshot.get(&row.key) {
            Some(kept) if *kept == row => {}
            Some(kept) => wrong.push(format!("the bucket has {kept:?}, SQLite has {row:?}")),
            None => wrong.push(format!("the bucket lacks {row:?}")),
        }
    })?;
    if wrong.is_empty() && snapshot.len() as u64 != rows {
        wrong.push(format!(
            "the bucket has {} rows, SQLite has {rows}",
            snapshot.len()
        ));
    }
    Ok((rows, wrong))
}
