//! The command line: what can be asked for, and what is refused.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

/// Printed by `--help`, and after every refusal.
pub const USAGE: &str = "\
Usage: cargo run --release --example catalog -- [OPTIONS]

Without options: fills an SQLite database with the named characters of Unicode, puts a bucket
over it, reads, streams and changes for a few seconds, and compares every answer with SQLite.

  --seconds N      how long to run, 1 to 3600 (default: 5)
  --sqlite FILE    use this database, read-only, in place of the built one
  --table TABLE      its table or view
  --key COLUMN       the column that holds the keys: unique, without NULLs
  --help           print this

Exit code: 0 when every answer was right, 1 when one was not or the run failed, 2 for bad usage.";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Print [`USAGE`].
    Help,
    /// Run for `time` over `source`.
    Run {
        /// How long the readers read.
        time: Duration,
        /// Which rows they read.
        source: Source,
    },
}

/// Where the rows come from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// The named characters of Unicode, in a database built for the run.
    Unicode,
    /// A table of the user's own database.
    File {
        /// The database.
        file: PathBuf,
        /// Its table or view.
        table: String,
        /// The column of the keys.
        key: String,
    },
}

/// Reads the arguments after the program's name; an error is one line for the user.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut args = args.into_iter();
    let (mut seconds, mut file, mut table, mut key) = (None, None, None, None);
    while let Some(arg) = args.next() {
        let slot = match arg.to_str() {
            Some("--help" | "-h") => return Ok(Command::Help),
            Some("--seconds") => &mut seconds,
            Some("--sqlite") => &mut file,
            Some("--table") => &mut table,
            Some("--key") => &mut key,
            _ => return Err(format!("unknown argument {}", quoted(&arg))),
        };
        let value = args
            .next()
            .ok_or_else(|| format!("{} needs a value", quoted(&arg)))?;
        if slot.replace(value).is_some() {
            return Err(format!("{} is given twice", quoted(&arg)));
        }
    }
    let time = Duration::from_secs(seconds.map_or(Ok(5), |text| whole_seconds(&text))?);
    let source = match (file, table, key) {
        (None, None, None) => Source::Unicode,
        (Some(file), Some(table), Some(key)) => Source::File {
            file: file.into(),
            table: utf8(table)?,
            key: utf8(key)?,
        },
        _ => return Err("--sqlite, --table and --key go together".into()),
    };
    Ok(Command::Run { time, source })
}

fn whole_seconds(text: &OsStr) -> Result<u64, String> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    number
        .filter(|seconds| (1..=3600).contains(seconds))
        .ok_or_else(|| format!("--seconds takes 1 to 3600, not {}", quoted(text)))
}

fn utf8(name: OsString) -> Result<String, String> {
    name.into_string()
        .map_err(|name| format!("{} is not valid UTF-8", quoted(&name)))
}

fn quoted(arg: &OsStr) -> String {
    format!("'{}'", arg.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn parse_nothing_runs_five_seconds_over_unicode() {
        let time = Duration::from_secs(5);
        assert_eq!(
            parsed(""),
            Ok(Command::Run {
                time,
                source: Source::Unicode
            })
        );
    }

    #[test]
    fn parse_file_takes_all_three_names() {
        let source = Source::File {
            file: "a.db".into(),
            table: "t".into(),
            key: "k".into(),
        };
        let time = Duration::from_secs(9);
        let line = "--key k --sqlite a.db --seconds 9 --table t";
        assert_eq!(parsed(line), Ok(Command::Run { time, source }));
    }

    #[test]
    fn parse_help_wins_over_what_follows() {
        assert_eq!(parsed("--help --nonsense"), Ok(Command::Help));
    }

    #[test]
    fn parse_refuses_what_it_does_not_know() {
        let cases = [
            ("--verbose", "unknown argument '--verbose'"),
            ("5", "unknown argument '5'"),
            ("--seconds=5", "unknown argument '--seconds=5'"),
            ("--seconds", "'--seconds' needs a value"),
            ("--seconds 0", "--seconds takes 1 to 3600, not '0'"),
            ("--seconds 3601", "--seconds takes 1 to 3600, not '3601'"),
            ("--seconds 1.5", "--seconds takes 1 to 3600, not '1.5'"),
            ("--seconds 1 --seconds 2", "'--seconds' is given twice"),
            (
                "--sqlite a.db --table t",
                "--sqlite, --table and --key go together",
            ),
            ("--key k", "--sqlite, --table and --key go together"),
        ];
        for (line, message) in cases {
            assert_eq!(parsed(line), Err(message.into()), "{line}");
        }
    }
}
