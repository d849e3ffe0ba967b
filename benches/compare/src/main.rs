//! Runs the comparison; see `scripts/bench`.

use std::process::ExitCode;

use larder_compare::args::{Args, USAGE};
use larder_compare::experiments;
use larder_compare::report::Report;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let command = std::env::var("LARDER_BENCH_COMMAND")
        .unwrap_or_else(|_| std::env::args().collect::<Vec<_>>().join(" "));
    let mut report = Report::new(&command);
    experiments::run(&args, &mut report);
    match report.write(&args.out) {
        Ok(path) => {
            println!("written to {}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot write to {}: {error}", args.out.display());
            ExitCode::FAILURE
        }
    }
}
