//! Run with: `cargo run --release --example catalog`
//!
//! A catalogue of the named characters of Unicode, kept in SQLite and served from memory. The
//! program fills a database, puts a bucket over it, and lets everybody loose on it at once:
//!
//! * two hot paths read flat out, mostly the same few keys, now and then one that does not exist;
//! * four streams walk through the table, and ask for the rows they are about to need;
//! * a writer changes rows in SQLite, and tells the bucket of half of the changes;
//! * the bucket itself fetches the whole table once a second, and so finds the rest;
//! * a watcher measures how long a change takes to be seen.
//!
//! Every answer is checked: each must be something that the row was, and not older than what the
//! bucket was told. At the end all rows are compared with SQLite, one by one. With `--sqlite` the
//! same happens, without the writer, over a table of your own. `--help` tells the rest.
//!
//! Read `catalog.rs` first: it is the only part that an application needs.
//!
//! The names come from the Unicode Character Database 17.0, through the crate `unicode_names2`
//! (MIT or Apache-2.0, and Unicode-DFS-2016 for the data); see `unicode.rs`.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "these keep the library's own code to its seams; this is a program that uses it"
)]

mod args;
mod catalog;
mod changes;
mod histogram;
mod ledger;
mod mix;
mod progress;
mod readers;
mod report;
mod table;
mod unicode;
mod verify;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use larder::ErrorKind;
use rusqlite::Connection;

use crate::args::{Command, Source, USAGE};
use crate::catalog::{Catalog, Traffic};
use crate::ledger::Ledger;
use crate::mix::{Mix, Random};
use crate::progress::Bar;
use crate::report::{Report, chain, grouped};
use crate::table::Table;
use crate::unicode::Scratch;

/// How many threads read flat out.
const HOT_PATHS: u64 = 2;

/// How many threads ask for keys ahead.
const STREAMS: u32 = 4;

/// How many keys the hot paths know of that do not exist.
const UNKNOWN_KEYS: usize = 500;

/// Of 100 reads of a hot path, so many are for such keys.
const UNKNOWN_PERCENT: u32 = 2;

fn main() -> ExitCode {
    let result = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::Run {
            time,
            source: Source::Unicode,
        }) => over_unicode(time),
        Ok(Command::Run {
            time,
            source: Source::File { file, table, key },
        }) => over_file(time, &file, &table, &key),
        Err(refusal) => {
            eprintln!("catalog: {refusal}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("catalog: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn over_unicode(time: Duration) -> Result<bool, Box<dyn Error>> {
    let scratch = Scratch::new()?;
    println!("{}", unicode::ORIGIN);
    let mut bar = Bar::new("filling SQLite", unicode::ABOUT);
    let writer = unicode::build(&scratch.file(), |rows| bar.show(rows))?;
    let table = Table::own(&scratch.file())?;
    bar.finish(&format!("{} rows", grouped(table.count()?)));
    run(time, table, Some(writer))
}

fn over_file(time: Duration, file: &Path, table: &str, key: &str) -> Result<bool, Box<dyn Error>> {
    let rows = Table::checked(file, table, key)?;
    let shown = file.display();
    println!("rows    {shown}, table {table} by {key}, read-only");
    if rows.is_scanned()? {
        println!("        (no index on {key}: SQLite reads the whole table for every batch)");
    }
    run(time, rows, None)
}

/// Warms, runs, reports and verifies; returns whether every answer was right.
fn run(time: Duration, table: Table, writer: Option<Connection>) -> Result<bool, Box<dyn Error>> {
    let (table, traffic) = (Arc::new(table), Arc::new(Traffic::default()));
    let catalog = catalog::over(Arc::clone(&table), Arc::clone(&traffic))?;
    warm(&catalog, &table, &traffic)?;
    let ledger = Ledger::new(catalog.keys(), UNKNOWN_KEYS, table.versioned());
    let report = let_loose(time, &catalog, &ledger, writer)?;
    report.print(&catalog, &traffic);

    let (rows, wrong) = verify::every_row(&catalog, &table)?;
    let (count, complaints) = ledger.complaints();
    let faults = count + wrong.len() as u64;
    let checked = grouped(report.checked());
    println!("checks     {checked} answers during the run");
    println!(
        "           {} rows against SQLite after it: {faults} wrong",
        grouped(rows)
    );
    for fault in complaints.iter().chain(wrong.iter().take(10)) {
        eprintln!("catalog: {fault}");
    }
    Ok(faults == 0)
}

/// Loads the whole table for the first time.
fn warm(catalog: &Catalog, table: &Table, traffic: &Traffic) -> Result<(), Box<dyn Error>> {
    let mut bar = Bar::new("warming the bucket", table.count()?);
    let refresh = catalog.refresh();
    loop {
        match refresh.wait(Duration::from_millis(20)) {
            Ok(()) => break,
            Err(error) if error.kind() == ErrorKind::Timeout => {
                bar.show(traffic.rows.load(Relaxed));
            }
            Err(error) => return Err(error.into()),
        }
    }
    bar.finish(&format!("{} rows", grouped(catalog.len() as u64)));
    Ok(())
}

/// Lets all readers, and the writer if there is one, loose on the bucket for `time`.
fn let_loose(
    time: Duration,
    catalog: &Catalog,
    ledger: &Ledger,
    writer: Option<Connection>,
) -> Result<Report, Box<dyn Error>> {
    let mix = &Mix::new(ledger.known(), UNKNOWN_KEYS as u32);
    let deck = |seed| mix.deck(1 << 19, UNKNOWN_PERCENT, &mut Random::new(seed));
    let decks: Vec<_> = (0..HOT_PATHS).map(deck).collect();
    let stop = &AtomicBool::new(false);
    let first = catalog.epoch();
    thread::scope(|scope| {
        let hot = |deck| scope.spawn(move || readers::hot_path(catalog, ledger, deck, stop));
        let stream = |n: u32| {
            let first = ledger.known() / STREAMS * n;
            scope.spawn(move || readers::stream(catalog, ledger, first, stop))
        };
        let hot: Vec<_> = decks.iter().map(Vec::as_slice).map(hot).collect();
        let streams: Vec<_> = (0..STREAMS).map(stream).collect();
        let (told, changes) = mpsc::channel();
        let watcher = writer
            .is_some()
            .then(|| scope.spawn(move || changes::watch(catalog, ledger, &changes)));
        let writer = scope.spawn(move || match writer {
            Some(db) => changes::change(catalog, ledger, mix, &db, &told, stop),
            None => {
                changes::only_invalidate(catalog, ledger, mix, stop);
                Ok(())
            }
        });

        let start = Instant::now();
        let mut bar = Bar::new("running", time.as_millis() as u64);
        while start.elapsed() < time {
            bar.show(start.elapsed().as_millis() as u64);
            thread::sleep(Duration::from_millis(100).min(time.saturating_sub(start.elapsed())));
        }
        stop.store(true, Relaxed);
        bar.finish("done");

        let lost = |_| "a thread panicked";
        let time = start.elapsed();
        let heats = hot
            .into_iter()
            .map(|thread| thread.join())
            .collect::<Result<_, _>>();
        let flows = streams
            .into_iter()
            .map(|thread| thread.join())
            .collect::<Result<_, _>>();
        writer.join().map_err(lost)??;
        let staleness = watcher
            .map(|thread| thread.join())
            .transpose()
            .map_err(lost)?;
        let epochs = (first, catalog.epoch());
        let (heats, flows) = (heats.map_err(lost)?, flows.map_err(lost)?);
        Ok(Report {
            time,
            heats,
            flows,
            staleness,
            epochs,
        })
    })
}
