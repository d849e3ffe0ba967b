//! The record: a Markdown file with pictures beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::machine;
use crate::measure::Row;
use crate::plot::Chart;
use crate::stats::Summary;

/// What became of one target.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Its number.
    pub target: &'static str,
    /// What was measured.
    pub what: String,
    /// What came out.
    pub value: String,
    /// What was to be reached.
    pub limit: String,
    /// Whether it was; nothing where there is no limit.
    pub met: Option<bool>,
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self.met {
            Some(true) => "pass",
            Some(false) => "MISSED",
            None => "-",
        }
    }
}

/// What is written at the end.
#[derive(Debug)]
pub struct Report {
    machine: String,
    verdicts: Vec<Verdict>,
    sections: String,
    charts: Vec<(&'static str, Chart)>,
}

impl Report {
    /// Returns an empty report about this machine.
    pub fn new(command: &str) -> Self {
        Self {
            machine: machine::describe(command),
            verdicts: Vec::new(),
            sections: String::new(),
            charts: Vec::new(),
        }
    }

    /// Adds what became of a target, and prints it.
    pub fn verdict(&mut self, verdict: Verdict) {
        let Verdict {
            target,
            what,
            value,
            limit,
            ..
        } = &verdict;
        println!(
            "{target:4} {:6}  {what}: {value} (target: {limit})",
            verdict.word()
        );
        self.verdicts.push(verdict);
    }

    /// Adds a section: a title, then Markdown.
    pub fn section(&mut self, title: &str, text: &str) {
        let _ = write!(self.sections, "\n## {title}\n\n{}\n", text.trim_end());
    }

    /// Adds a picture.
    pub fn chart(&mut self, name: &'static str, chart: Chart) {
        self.charts.push((name, chart));
    }

    /// Writes everything into `directory`, as `<date>-<cpu>.md` and pictures of the same name.
    ///
    /// # Errors
    ///
    /// What the file system said.
    pub fn write(&self, directory: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(directory)?;
        let stem = format!("{}-{}", machine::date(), machine::cpu_slug());
        let mut text = format!("# larder beside others, {stem}\n\n| | |\n|---|---|\n");
        text += &self.machine;
        let _ = writeln!(text, "| load at the end | {} |", machine::load());
        text += READING;
        if !self.verdicts.is_empty() {
            text += "\n## Targets\n\n| # | what | measured | target | |\n|---|---|---|---|---|\n";
            for verdict in &self.verdicts {
                let Verdict {
                    target,
                    what,
                    value,
                    limit,
                    ..
                } = verdict;
                let word = verdict.word();
                let _ = writeln!(text, "| {target} | {what} | {value} | {limit} | {word} |");
            }
        }
        for (name, chart) in &self.charts {
            let file = format!("{stem}-{name}.svg");
            fs::write(directory.join(&file), chart.svg())?;
            let _ = write!(text, "\n![{}]({file})\n", chart.title);
        }
        text += &self.sections;
        let path = directory.join(format!("{stem}.md"));
        fs::write(&path, text)?;
        Ok(path)
    }
}

const READING: &str = "
Each number is the median of interleaved rounds, with the least and the greatest in brackets.
`x` is the ratio to the bare map, taken round by round in the same run, and then the median.
Ratios can be compared, times cannot: machines are shared and noisy. Every answer was checked.
All subjects use the same `ahash` hasher, which all of them allow.
";

/// Writes `median [min-max]`, with three digits.
pub fn spread(summary: Summary) -> String {
    let Summary { median, min, max } = summary;
    format!("{} [{}-{}]", digits(median), digits(min), digits(max))
}

/// Writes a number with about three digits.
pub fn digits(number: f64) -> String {
    match number.abs() {
        size if size >= 1e6 => format!("{:.1} M", number / 1e6),
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// Writes a ratio.
pub fn ratio(number: f64) -> String {
    if number >= 10.0 {
        format!("{number:.1}x")
    } else {
        format!("{number:.2}x")
    }
}

/// Writes a number of entries.
pub fn size(entries: usize) -> String {
    match entries {
        1_000_000.. => format!("{} M", entries / 1_000_000),
        1_000.. => format!("{} k", entries / 1_000),
        _ => entries.to_string(),
    }
}

/// Builds a Markdown table.
#[derive(Debug)]
pub struct Table(String);

impl Table {
    /// Returns a table with these columns.
    pub fn new<T: AsRef<str>>(columns: &[T]) -> Self {
        let mut table = Self(String::new());
        table.row(columns);
        table.row(&vec!["---"; columns.len()]);
        table
    }

    /// Adds a row.
    pub fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        let _ = writeln!(self.0, "| {} |", cells.join(" | "));
    }

    /// Returns the table, and an empty line.
    pub fn finish(self) -> String {
        self.0 + "\n"
    }
}

/// Returns a table with a column for the times, and one for the ratios, of each head, and a row for each
/// subject.
pub fn grid(columns: &[(String, Vec<Row>)]) -> String {
    let heads = columns.iter().flat_map(|(head, _)| [head.as_str(), "x"]);
    let mut table = Table::new(
        &std::iter::once("ns a read")
            .chain(heads)
            .collect::<Vec<_>>(),
    );
    let count = columns.first().map_or(0, |(_, rows)| rows.len());
    for index in 0..count {
        let mut line = vec![columns[0].1[index].name.to_owned()];
        for (_, rows) in columns {
            line.extend([spread(rows[index].ns), ratio(rows[index].ratio.median)]);
        }
        table.row(&line);
    }
    table.finish()
}
