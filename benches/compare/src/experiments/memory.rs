//! P9 and P11: bytes and allocations, counted in a process of their own, since an allocator that
//! counts would slow down everything else.

use std::path::PathBuf;
use std::process::Command;

use crate::args::Plan;
use crate::report::{Report, Table, Verdict, digits, ratio};

/// Runs the `memory` program and reads what it prints: lines `name<TAB>number`.
pub fn run(plan: &Plan, report: &mut Report) {
    let entries = if plan.is_quick() { "200000" } else { "1000000" };
    let facts = match count(&[entries]) {
        Ok(facts) => facts,
        Err(why) => {
            // A target that was not measured is a target that was missed.
            report.verdict(Verdict {
                target: "P9",
                what: "memory and allocations".into(),
                value: why,
                limit: "to be measured".into(),
                met: Some(false),
            });
            return;
        }
    };
    let fact = |name: &str| {
        facts
            .iter()
            .find(|(n, _)| n == name)
            .map_or(f64::NAN, |(_, v)| *v)
    };
    let (bytes, peak) = (fact("larder"), fact("peak"));
    let limit = 1.25 * 16.0 + 1.5;
    report.verdict(Verdict {
        target: "P9",
        what: format!("bytes a key of the bucket, u64 to u64, {entries} entries"),
        value: digits(bytes),
        limit: format!("<= {limit}"),
        met: Some(bytes <= limit),
    });
    report.verdict(Verdict {
        target: "P9",
        what: "most memory at any time of a refresh, in tables".into(),
        value: ratio(peak),
        limit: "<= 2.10x".into(),
        met: Some(peak <= 2.1),
    });
    let calls: Vec<_> = facts
        .iter()
        .filter(|(name, _)| name.starts_with("allocator"))
        .collect();
    for (name, number) in calls {
        report.verdict(Verdict {
            target: "P11",
            what: name.clone(),
            value: number.to_string(),
            limit: "0".into(),
            met: Some(*number == 0.0),
        });
    }
    let mut table = Table::new(&["bytes a key, u64 to u64", ""]);
    let sizes = facts
        .iter()
        .filter(|(name, _)| name != "peak" && !name.starts_with("allocator"));
    for (name, number) in sizes {
        table.row(&[name, &digits(*number)]);
    }
    let text = "Live bytes by a counting allocator, in a process of its own, after filling and \
                when nothing moves any more; 16 of them are the pair. Maps that grow in powers of \
                two depend on where the number of entries lies between two of them.\n\n";
    report.section("P9: memory", &(text.to_owned() + &table.finish()));
}

/// Runs the program with these operands.
pub(super) fn count(operands: &[&str]) -> Result<Vec<(String, f64)>, String> {
    let mut program: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
    program.set_file_name(format!("memory{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&program).args(operands).output();
    let output = output.map_err(|error| format!("memory could not be run: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "memory failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let facts = text.lines().map(|line| {
        let (name, number) = line.split_once('\t')?;
        Some((name.to_owned(), number.parse().ok()?))
    });
    facts
        .collect::<Option<_>>()
        .ok_or_else(|| format!("memory printed: {text}"))
}
