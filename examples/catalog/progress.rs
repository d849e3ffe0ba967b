//! A progress bar on standard error, drawn only where somebody can see it move.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use crate::histogram::short;

/// One line that fills up; where standard error is no terminal, only its last state is printed.
pub struct Bar {
    label: &'static str,
    total: u64,
    began: Instant,
    drawn: Option<Instant>,
    moves: bool,
}

impl Bar {
    /// Starts a bar that is full at `total`.
    pub fn new(label: &'static str, total: u64) -> Self {
        Self {
            label,
            total,
            began: Instant::now(),
            drawn: None,
            moves: stderr().is_terminal(),
        }
    }

    /// Moves the bar to `done`; cheap enough to be called for every row.
    pub fn show(&mut self, done: u64) {
        let often = |drawn: Instant| drawn.elapsed() < Duration::from_millis(50);
        if !self.moves || self.drawn.is_some_and(often) {
            return;
        }
        self.drawn = Some(Instant::now());
        self.draw(done, "");
    }

    /// Completes the bar, with what became of it.
    pub fn finish(self, outcome: &str) {
        if self.moves {
            self.draw(self.total, "\n");
        }
        eprintln!(
            "{}: {outcome} in {}",
            self.label,
            short(self.began.elapsed())
        );
    }

    fn draw(&self, done: u64, end: &str) {
        let width = 40;
        let share = done.min(self.total) as f64 / self.total.max(1) as f64;
        let full = (share * width as f64) as usize;
        let (hashes, dots) = ("#".repeat(full), ".".repeat(width - full));
        // A bar that cannot be drawn is no reason to stop.
        let _ = write!(
            stderr(),
            "\r{} [{hashes}{dots}] {:3.0} %{end}",
            self.label,
            share * 100.0
        );
        let _ = stderr().flush();
    }
}
