//! P1, P2 and the tables of reads.

use crate::args::Plan;
use crate::machine;
use crate::measure::{self, Mode, Row};
use crate::plot::{Chart, Look, Series};
use crate::report::{Report, Verdict, grid, ratio, size as size_name};
use crate::subject::larder::{PEEK, READER};
use crate::subject::{self, BARE};
use crate::workload::{Asked, Dataset, Key, Stream};

/// One measured combination.
#[derive(Debug)]
struct Cell {
    key: &'static str,
    size: usize,
    asked: Asked,
    mode: Mode,
    rows: Vec<Row>,
}

/// Measures all subjects over the plan's combinations.
pub fn run(plan: &Plan, report: &mut Report) {
    let mut cells = Vec::new();
    let mut skipped = String::new();
    let sizes: &[usize] = match plan.is_full() {
        true => &[1_000, 64_000, 1_000_000, 10_000_000],
        false => &[1_000, 64_000, 1_000_000],
    };
    for &size in sizes {
        measure_size::<u64>(plan, size, &mut cells, &mut skipped);
    }
    if !plan.is_quick() {
        for &size in sizes {
            measure_size::<String>(plan, size, &mut cells, &mut skipped);
        }
    }
    verdicts(&cells, report);
    section("Reads", &cells, &skipped, report);
    for (mode, name) in [(Mode::Throughput, "throughput"), (Mode::Latency, "latency")] {
        report.chart(name, chart(&cells, mode));
    }
}

/// Measures a few subjects at one size, `u64` keys.
pub(super) fn large(plan: &Plan, size: usize, report: &mut Report) {
    let lanes = subject::few(&Dataset::<u64>::new(size));
    let stream = Stream::draw(size, Asked::Uniform, 17);
    let cell = |mode| Cell {
        key: u64::NAME,
        size,
        asked: Asked::Uniform,
        mode,
        rows: measure::rounds(&lanes, &stream, mode, plan.rounds, plan.budget),
    };
    let cells = [Mode::Throughput, Mode::Latency].map(cell);
    verdicts(&cells, report);
    let title = format!("Reads, {} entries", size_name(size));
    section(&title, &cells, "", report);
}

fn measure_size<K: Key>(plan: &Plan, size: usize, cells: &mut Vec<Cell>, skipped: &mut String) {
    // Measured: ten filled subjects take some 1,000 bytes an entry with u64 keys, 2,000 with
    // strings. Without the room, the machine would swap or kill.
    let needed = size as u64 * if K::NAME == "u64" { 1_000 } else { 2_000 };
    if machine::memory_available().is_some_and(|bytes| bytes < needed) {
        let name = size_name(size);
        *skipped += &format!(
            "\n{} keys at {name}: skipped, for want of memory.\n",
            K::NAME
        );
        return;
    }
    eprintln!("  {} keys, {} entries", K::NAME, size_name(size));
    let data = Dataset::<K>::new(size);
    let lanes = subject::all(&data);
    for (asked, mode) in combinations::<K>(plan, size) {
        let stream = Stream::draw(size, asked, 17);
        let rows = measure::rounds(&lanes, &stream, mode, plan.rounds, plan.budget);
        cells.push(Cell {
            key: K::NAME,
            size,
            asked,
            mode,
            rows,
        });
    }
}

/// Returns what is measured at one size. Misses have no latency: a miss reads no value that the
/// next key could depend on.
fn combinations<K: Key>(plan: &Plan, size: usize) -> Vec<(Asked, Mode)> {
    let mut chosen = vec![
        (Asked::Uniform, Mode::Throughput),
        (Asked::Uniform, Mode::Latency),
    ];
    let is_number = K::NAME == "u64";
    if plan.is_full() || (!plan.is_quick() && is_number && size > 1_000) {
        chosen.extend([
            (Asked::Zipf, Mode::Throughput),
            (Asked::Zipf, Mode::Latency),
        ]);
    }
    if plan.is_full() || (!plan.is_quick() && is_number) {
        chosen.push((Asked::Missing, Mode::Throughput));
    }
    chosen
}

fn verdicts(cells: &[Cell], report: &mut Report) {
    let uniform = |cell: &&Cell| cell.key == "u64" && cell.asked == Asked::Uniform;
    for cell in cells.iter().filter(uniform) {
        let (mode, limit) = match (cell.mode, cell.size) {
            (Mode::Throughput, _) => ("throughput", 1.05),
            (Mode::Latency, ..=1_000) => ("latency", 1.10),
            (Mode::Latency, ..=64_000) => ("latency", 1.00),
            (Mode::Latency, ..=1_000_000) => ("latency", 0.60),
            (Mode::Latency, _) => ("latency", 0.55),
        };
        let got = cell.row(READER).ratio.median;
        report.verdict(Verdict {
            target: "P1",
            what: format!(
                "Reader::get against the bare map, {mode}, {}",
                size_name(cell.size)
            ),
            value: ratio(got),
            limit: format!("<= {}", ratio(limit)),
            met: Some(got <= limit),
        });
    }
    for cell in cells.iter().filter(uniform) {
        handleless(cell, report);
    }
}

fn handleless(cell: &Cell, report: &mut Report) {
    let at = match cell.mode {
        Mode::Throughput => format!("throughput, {}", size_name(cell.size)),
        Mode::Latency => format!("latency, {}", size_name(cell.size)),
    };
    let peek = cell.row(PEEK);
    let got = peek.ratio.median;
    report.verdict(Verdict {
        target: "P2",
        what: format!("peek against the bare map, {at}"),
        value: ratio(got),
        limit: "<= 1.15x".into(),
        met: Some(got <= 1.15),
    });
    let among = |names: &[&str]| -> Vec<&Row> {
        let mut rows: Vec<&Row> = cell.rows.iter().collect();
        rows.retain(|row| names.contains(&row.name));
        rows.sort_by(|a, b| a.ns.median.total_cmp(&b.ns.median));
        rows
    };
    let rivals = among(&[
        "papaya",
        "dashmap",
        "scc::HashIndex",
        "quick_cache",
        "moka (sync)",
    ]);
    let (rival, caches) = (rivals[0], rivals.len());
    let faster = rival.ns.median / peek.ns.median;
    let bound = cell.size == 1_000_000 && cell.mode == Mode::Throughput;
    report.verdict(Verdict {
        target: "P2",
        what: format!(
            "peek, times faster than {} (best of {}), {at}",
            rival.name, caches
        ),
        value: ratio(faster),
        limit: if bound {
            ">= 3x".into()
        } else {
            "no target here".into()
        },
        met: bound.then_some(faster >= 3.0),
    });
    let handleless = among(&["ArcSwap::load + map", "papaya"])[0];
    report.verdict(Verdict {
        target: "P2",
        what: format!(
            "peek, times faster than {} (better of two), {at}",
            handleless.name
        ),
        value: ratio(handleless.ns.median / peek.ns.median),
        limit: "no target here".into(),
        met: None,
    });
}

impl Cell {
    fn row(&self, name: &str) -> &Row {
        self.rows
            .iter()
            .find(|row| row.name == name)
            .expect("every cell has every subject")
    }
}

fn section(title: &str, cells: &[Cell], skipped: &str, report: &mut Report) {
    let mut text = String::from(
        "*Throughput*: reads that do not depend on each other. *Latency*: each key depends on the \
         value just read. Nanoseconds a read. Misses have no latency: they read no value that a \
         key could depend on. The bucket has no loader for single keys, so `larder get` answers a \
         miss after the lookup and a refusal.\n\n",
    );
    text += skipped;
    for key in ["u64", "String"] {
        for asked in [Asked::Uniform, Asked::Zipf, Asked::Missing] {
            for (mode, name) in [(Mode::Throughput, "throughput"), (Mode::Latency, "latency")] {
                let wanted = |cell: &&Cell| (cell.key, cell.asked, cell.mode) == (key, asked, mode);
                let chosen: Vec<&Cell> = cells.iter().filter(wanted).collect();
                if !chosen.is_empty() {
                    let title = format!("### {key} keys, {}, {name}\n\n", asked.name());
                    text += &title;
                    text += &table(&chosen);
                }
            }
        }
    }
    report.section(title, &text);
}

fn table(cells: &[&Cell]) -> String {
    let column = |cell: &&Cell| (size_name(cell.size), cell.rows.clone());
    grid(&cells.iter().map(column).collect::<Vec<_>>())
}

fn chart(cells: &[Cell], mode: Mode) -> Chart {
    let wanted =
        |cell: &&Cell| cell.key == "u64" && cell.asked == Asked::Uniform && cell.mode == mode;
    let chosen: Vec<&Cell> = cells.iter().filter(wanted).collect();
    let scale = |ns: f64| {
        if mode == Mode::Throughput {
            1e3 / ns
        } else {
            ns
        }
    };
    let mut counts = (0, 0);
    let look = |name: &str| {
        let count = match name {
            BARE => return Look::floor(),
            name if name.starts_with("larder") => &mut counts.0,
            _ => &mut counts.1,
        };
        *count += 1;
        let nth = *count - 1;
        if name.starts_with("larder") {
            Look::strong(nth)
        } else {
            Look::other(nth)
        }
    };
    let names: Vec<&str> = chosen
        .first()
        .map_or(&[][..], |cell| &cell.rows)
        .iter()
        .map(|r| r.name)
        .collect();
    let looks: Vec<Look> = names.iter().copied().map(look).collect();
    let series = names.iter().zip(looks).map(|(name, look)| Series {
        name: (*name).to_owned(),
        points: chosen
            .iter()
            .map(|cell| Some(scale(cell.row(name).ns.median)))
            .collect(),
        look,
    });
    let (title, y_label) = match mode {
        Mode::Throughput => (
            "Reads a second, one thread",
            "million reads a second (more is better)",
        ),
        Mode::Latency => (
            "Latency of a read, in a dependent chain",
            "ns a read (less is better)",
        ),
    };
    Chart {
        title: title.into(),
        subtitle: format!("u64 to u64, uniform hits, {}", machine::cpu()),
        x_label: "entries",
        y_label,
        positions: chosen.iter().map(|cell| size_name(cell.size)).collect(),
        series: series.collect(),
    }
}
