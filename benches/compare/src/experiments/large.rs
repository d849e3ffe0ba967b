//! Ten million entries: a table that no cache of a processor holds.

use super::{designs, fold, many, reads, tail};
use crate::args::Plan;
use crate::machine;
use crate::report::Report;

const ENTRIES: usize = 10_000_000;

/// Measures reads, and what else depends on the size, in few rounds.
pub fn run(plan: &Plan, report: &mut Report) {
    // Measured: the tables of the reads, two of larder's at a time, and the pairs.
    let needed = 6 << 30;
    if machine::memory_available().is_some_and(|bytes| bytes < needed) {
        let text = "Not measured, for want of memory.";
        report.section("Ten million entries", text);
        return;
    }
    let few = Plan {
        rounds: plan.rounds.min(3),
        ..*plan
    };
    // A full run has them with all the others.
    if !plan.is_full() {
        eprintln!("  reads");
        reads::large(&few, ENTRIES, report);
        eprintln!("  get_many");
        many::at(&few, &[ENTRIES], "P10: get_many, 10 M entries", report);
    }
    eprintln!("  designs");
    let text = designs::at(&few, ENTRIES);
    report.section("Designs of a table, 10 M entries", &text);
    if plan.is_quick() {
        return;
    }
    eprintln!("  the tail");
    tail::at(&few, ENTRIES, report);
    eprintln!("  folds");
    fold::at(ENTRIES as u64, 1, &[1], report);
}
