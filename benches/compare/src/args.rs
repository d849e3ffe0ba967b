//! The command line, and how much is measured for it.

use std::path::PathBuf;
use std::time::Duration;

/// What to print when asked, or when the arguments are wrong.
pub const USAGE: &str = "\
usage: scripts/bench [--quick | --full] [--only NAMES] [--record | --out DIR]
  --quick       about a minute: small and few; not written to benches/record
  --full        all combinations, 10 M entries too; half an hour
  --only NAMES  some of: reads,shapes,p3,p4,p5,p6,p7,p8,p10,large,designs,p9 (p9 counts p11 too)
  --record      write to benches/record whatever was measured
  --out DIR     write to DIR";

/// How much is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extent {
    /// About a minute.
    Quick,
    /// What a record holds.
    Default,
    /// All combinations.
    Full,
}

/// The command line.
#[derive(Clone, Debug)]
pub struct Args {
    /// How much is measured.
    pub extent: Extent,
    /// Where the report goes.
    pub out: PathBuf,
    only: Option<Vec<String>>,
}

impl Args {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            extent: Extent::Default,
            out: PathBuf::from("."),
            only: None,
        };
        while let Some(argument) = arguments.next() {
            let mut operand = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs an operand"))
            };
            match argument.as_str() {
                "--quick" => parsed.extent = Extent::Quick,
                "--full" => parsed.extent = Extent::Full,
                "--out" => parsed.out = operand()?.into(),
                "--only" => {
                    let names = operand()?.split(',').map(str::to_lowercase).collect();
                    parsed.only = Some(names);
                }
                _ => return Err(format!("unknown argument {argument}")),
            }
        }
        Ok(parsed)
    }

    /// Returns whether this experiment is to run.
    pub fn wants(&self, name: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| only.iter().any(|wanted| wanted == name))
    }

    /// Returns how much is measured.
    pub fn plan(&self) -> Plan {
        let millis = Duration::from_millis;
        match self.extent {
            Extent::Quick => Plan {
                extent: self.extent,
                rounds: 3,
                budget: millis(8),
            },
            Extent::Default => Plan {
                extent: self.extent,
                rounds: 7,
                budget: millis(25),
            },
            Extent::Full => Plan {
                extent: self.extent,
                rounds: 9,
                budget: millis(40),
            },
        }
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// In one word.
    pub extent: Extent,
    /// Interleaved rounds of everything.
    pub rounds: usize,
    /// Time for one subject in one round.
    pub budget: Duration,
}

impl Plan {
    /// Returns whether corners are cut.
    pub fn is_quick(&self) -> bool {
        self.extent == Extent::Quick
    }

    /// Returns whether all combinations are measured.
    pub fn is_full(&self) -> bool {
        self.extent == Extent::Full
    }
}
