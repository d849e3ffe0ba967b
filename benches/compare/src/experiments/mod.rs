//! One module for each thing that is measured; each adds its verdicts and a section.

pub mod batches;
pub mod cold;
pub mod designs;
pub mod fold;
pub mod hot_key;
pub mod large;
pub mod many;
pub mod memory;
pub mod reads;
pub mod refresh;
pub mod shapes;
pub mod tail;
mod tail_frees;

use crate::args::{Args, Plan};
use crate::report::Report;

type Experiment = fn(&Plan, &mut Report);

/// Runs what `args` asks for.
pub fn run(args: &Args, report: &mut Report) {
    let plan = args.plan();
    let all: [(&str, &str, Experiment); 12] = [
        ("reads", "reads, all subjects", reads::run),
        ("shapes", "values of several shapes", shapes::run),
        ("p3", "a hot key on two threads", hot_key::run),
        ("p4", "read tail while publishing", tail::run),
        ("p5", "misses in batches", batches::run),
        ("p6", "first answer of a cold miss", cold::run),
        ("p7", "full refresh", refresh::run),
        ("p8", "writes with folds", fold::run),
        ("p10", "get_many", many::run),
        ("large", "10 M entries", large::run),
        ("designs", "designs of a table", designs::run),
        ("p9", "memory, and allocations on a hit", memory::run),
    ];
    let start = std::time::Instant::now();
    for (name, what, run) in all {
        if args.wants(name) {
            eprintln!("[{:4.0} s] {name}: {what}", start.elapsed().as_secs_f64());
            run(&plan, report);
        }
    }
    eprintln!("[{:4.0} s] done", start.elapsed().as_secs_f64());
}
