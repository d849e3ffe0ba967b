//! What the run has shown, for a person to read.

use std::error::Error;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::catalog::{Catalog, Traffic};
use crate::changes::Staleness;
use crate::histogram::{Histogram, short};
use crate::readers::{Flow, Heat};

/// All that was measured.
pub struct Report {
    /// How long the readers read.
    pub time: Duration,
    /// One for each hot path.
    pub heats: Vec<Heat>,
    /// One for each stream.
    pub flows: Vec<Flow>,
    /// Of the changes, if there was a writer.
    pub staleness: Option<Staleness>,
    /// The number of the first and the last snapshot of the run.
    pub epochs: (u64, u64),
}

impl Report {
    /// Prints the numbers.
    pub fn print(&self, catalog: &Catalog, traffic: &Traffic) {
        self.print_reads();
        let chunks: u64 = self.flows.iter().map(|flow| flow.chunks).sum();
        let ready: u64 = self.flows.iter().map(|flow| flow.ready).sum();
        let rows = grouped(self.flows.iter().map(|flow| flow.checked).sum());
        line(
            "streams",
            format!("{rows} rows by {} workers", self.flows.len()),
        );
        line(
            "",
            format!("{ready} of {chunks} chunks were loaded before their turn came"),
        );

        let (calls, keys) = (traffic.batches.load(Relaxed), traffic.keys.load(Relaxed));
        let mean = keys as f64 / calls.max(1) as f64;
        let stale = catalog.stats().superseded;
        line(
            "loader",
            format!("{} calls, {mean:.1} keys each", grouped(calls)),
        );
        line(
            "",
            format!("{stale} results dropped: their rows were changed meanwhile"),
        );
        let (tables, (first, last)) = (traffic.tables.load(Relaxed), self.epochs);
        line(
            "refreshes",
            format!("{tables} of the whole table; snapshots {first} to {last}"),
        );

        if let Some(staleness) = &self.staleness {
            line(
                "staleness",
                "from the change of a row until it was read".into(),
            );
            line("  told", counted(&staleness.told));
            line("  not told", counted(&staleness.untold));
        }
    }

    fn print_reads(&self) {
        let (mut hits, mut misses) = (Histogram::new(), Histogram::new());
        for heat in &self.heats {
            hits.merge(&heat.hits);
            misses.merge(&heat.misses);
        }
        let joined: u64 = self.heats.iter().map(|heat| heat.joined).sum();
        let (paths, all) = (self.heats.len(), hits.total() + misses.total());
        let rate = |reads, time: Duration| grouped((reads as f64 / time.as_secs_f64()) as u64);
        let waited = misses.sum().div_f64(paths as f64).min(self.time);
        let share = 100.0 * waited.as_secs_f64() / self.time.as_secs_f64();
        let unwaited = rate(hits.total(), self.time.saturating_sub(waited));
        line(
            "reads",
            format!("{} a second, by {paths} hot paths", rate(all, self.time)),
        );
        line(
            "",
            format!("{unwaited} a second outside the {share:.0} % of the time in misses"),
        );
        line("  hits", counted(&hits));
        line("  misses", counted(&misses));
        line(
            "",
            format!("{} joined the load of another reader", grouped(joined)),
        );
        line(
            "",
            format!("the clock alone takes {} of each", short(clock_cost())),
        );
    }

    /// How many answers were checked while the run lasted.
    pub fn checked(&self) -> u64 {
        let heats = self.heats.iter().map(|heat| heat.checked);
        let flows = self.flows.iter().map(|flow| flow.checked);
        let watched = self.staleness.iter().map(|staleness| staleness.checked);
        heats.chain(flows).chain(watched).sum()
    }
}

/// An error with all that caused it.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn line(label: &str, text: String) {
    println!("{label:<11}{text}");
}

fn counted(histogram: &Histogram) -> String {
    format!("{:>11}   {histogram}", grouped(histogram.total()))
}

/// What it takes to measure nothing.
fn clock_cost() -> Duration {
    let mut nothing = Histogram::new();
    for _ in 0..10_000 {
        nothing.record(Instant::now().elapsed());
    }
    nothing.quantile(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouped_parts_thousands() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1 000"),
            (12_345_678, "12 345 678"),
        ];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
