//! Reads of values of several shapes: what a clone costs, and a reference saves.

use std::sync::Arc;
use std::time::Duration;

use crate::args::Plan;
use crate::measure::{self, Mode};
use crate::report::{Report, grid, size as size_name};
use crate::subject::shapes::{Line, Shape, lanes};
use crate::workload::{Asked, Stream, draw_indices};

const SIZES: [usize; 3] = [1_000, 64_000, 1_000_000];

/// Measures each shape at each size.
pub fn run(plan: &Plan, report: &mut Report) {
    let mut text = String::from(
        "`u64` keys, uniform hits; nanoseconds a read, which takes a look at what the value holds: for a \
         `String` and an `Arc` that is memory of their own. `peek` hands out a clone, which is dropped after \
         the look; the others lend a reference.\n\n",
    );
    text += &shape::<u64>(plan);
    text += &shape::<String>(plan);
    text += &shape::<Arc<[u8; 32]>>(plan);
    text += &shape::<Line>(plan);
    report.section("Values of several shapes", &text);
}

fn shape<V: Shape>(plan: &Plan) -> String {
    let modes = [(Mode::Throughput, "throughput"), (Mode::Latency, "latency")];
    let mut columns = modes.map(|_| Vec::new());
    let budget = plan.budget.min(Duration::from_millis(15));
    for size in SIZES {
        let lanes = lanes::<V>(size);
        let length = Stream::<u64>::length(size);
        let indices = draw_indices(size as u64, Asked::Uniform, length, 41);
        let stream = Stream::of(&indices, |index| V::of(index).look());
        for ((mode, _), columns) in modes.iter().zip(&mut columns) {
            let rows = measure::rounds(&lanes, &stream, *mode, plan.rounds.min(5), budget);
            columns.push((size_name(size), rows));
        }
    }
    let table = |((_, mode), columns): (&(Mode, &str), &Vec<_>)| {
        format!("### {}, {mode}\n\n{}", V::NAME, grid(columns))
    };
    modes.iter().zip(&columns).map(table).collect()
}
