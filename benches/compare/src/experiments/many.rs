//! P10: many keys in one call, against as many calls.

use std::time::Instant;

use crate::args::Plan;
use crate::report::{Report, Table, Verdict, ratio, size, spread};
use crate::stats::Summary;
use crate::subject::larder::{Shelf, shelf};
use crate::workload::{Asked, Dataset, Key, draw_indices, value};

const GROUP: usize = 64;
const GROUPS: usize = 1 << 13;

/// Compares `get_many` with `get`, and with `Reader::get`.
pub fn run(plan: &Plan, report: &mut Report) {
    let sizes: &[usize] = if plan.is_full() {
        &[1_000_000, 10_000_000]
    } else {
        &[1_000_000]
    };
    at(plan, sizes, "P10: get_many", report);
}

/// The same at these sizes.
pub(super) fn at(plan: &Plan, sizes: &[usize], title: &str, report: &mut Report) {
    let mut table = Table::new(&[
        "ns a key",
        "get_many of 64",
        "64 x get",
        "64 x Reader::get",
        "get / get_many",
    ]);
    for &entries in sizes {
        let bucket = shelf("many", &Dataset::<u64>::new(entries));
        let indices = draw_indices(entries as u64, Asked::Uniform, GROUP * GROUPS, 31);
        let keys: Vec<u64> = indices.iter().map(|&index| u64::nth(index)).collect();
        let sum = indices
            .iter()
            .map(|&index| value(index))
            .fold(0, u64::wrapping_add);
        let mut times = [const { Vec::new() }; 3];
        for round in 0..plan.rounds {
            for turn in 0..3 {
                let lane = (turn + round) % 3;
                times[lane].push(pass(&bucket, &keys, sum, lane));
            }
        }
        let ratios: Vec<f64> = times[1]
            .iter()
            .zip(&times[0])
            .map(|(get, many)| get / many)
            .collect();
        let got = Summary::of(&ratios).median;
        let [many, gets, reader] = times.map(|times| spread(Summary::of(&times)));
        table.row(&[size(entries), many, gets, reader, ratio(got)]);
        report.verdict(Verdict {
            target: "P10",
            what: format!(
                "get_many of 64 at {}, throughput against 64 gets",
                size(entries)
            ),
            value: ratio(got),
            limit: ">= 1.50x".into(),
            met: Some(got >= 1.5),
        });
    }
    report.section(title, &table.finish());
}

/// Returns ns a key, of the second pass of two: the first brings the table into the caches.
fn pass(bucket: &Shelf<u64>, keys: &[u64], sum: u64, lane: usize) -> f64 {
    let once = || {
        let got = match lane {
            0 => {
                let groups = keys.chunks(GROUP).map(|group| bucket.get_many(group));
                groups
                    .map(|values| add(values.into_iter()))
                    .fold(0, u64::wrapping_add)
            }
            1 => add(keys.iter().map(|key| bucket.get(key))),
            _ => {
                let mut reader = bucket.reader();
                add(keys.iter().map(|key| reader.get(key).copied()))
            }
        };
        assert_eq!(got, sum, "wrong answers");
    };
    once();
    let start = Instant::now();
    once();
    start.elapsed().as_nanos() as f64 / keys.len() as f64
}

fn add(values: impl Iterator<Item = Option<u64>>) -> u64 {
    values
        .map(|value| value.expect("every key is held"))
        .fold(0, u64::wrapping_add)
}
