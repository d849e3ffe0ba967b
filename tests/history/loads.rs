//! What loads mean for the history of a key.
//!
//! A load is a write that may not happen: its result goes in at some moment after the load began,
//! unless a write or a removal came between, and then it only answers those who waited for it. So
//! a load of value `x` that began at `t`, and the earliest end `u` of a write or removal that
//! began after `t`, leave these rules:
//! * Whoever sees `x`, from the bucket or as an answer, began before `u`. Later it is an old value
//!   that came back, or an answer from before a write that had returned.
//! * Who sees `x` without having waited for it shows that it went in, between `t` and `u`: an
//!   ordinary write, but that it came before every write that began after `t`. So does who asked
//!   after somebody else had already seen it.
//! * If no write or removal overlaps the flight, nothing can have kept `x` out: it was in when the
//!   first of those who waited returned. A flight begins no earlier than the first of the calls
//!   that it answers; but a reload is begun by a call that does not wait, so this last rule is only
//!   for keys that nobody asks to reload.
//! * A load that found nothing removes what is there, if that is not newer than the load. It is not
//!   known whether there was anything, so the removal may have happened, in the same way, and before
//!   the next load of the key began.
//! * An answer of a value that was to be returned and not stored says nothing of the bucket, and
//!   nobody else may see that value.
//!
//! A result that nobody is known to have found in the bucket is left out: whether it went in makes
//! no difference to anybody. What remains is a plain history.

use crate::record::{Answer, Kind, Load, Op, Span};
use std::{collections::HashMap, fmt};

/// How loads broke their rules.
#[allow(dead_code, reason = "read by whoever reads the report")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum LoadFault {
    /// A result was seen by a call that began after a write had returned which the load preceded.
    Outdated {
        load: Load,
        overwritten: u64,
        seen: Span,
    },
    /// A result was seen before its load began.
    Early { load: Load, seen: Span },
    /// A result that was not to be stored was found in the bucket.
    Stored { load: Load, seen: Span },
    /// "Absent" was the answer, and no load that could answer this call had said so.
    Invented { answer: Answer },
}

impl LoadFault {
    /// The time to look at.
    pub(crate) fn span(&self) -> Span {
        match *self {
            Self::Outdated { load, seen, .. } | Self::Stored { load, seen } => Span {
                start: load.span.start,
                end: seen.end,
            },
            Self::Early { load, seen } => Span {
                start: seen.start,
                end: load.span.end,
            },
            Self::Invented { answer } => answer.span,
        }
    }
}

impl fmt::Display for LoadFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

/// The writes and removals of a key, by start.
struct Writes {
    /// `(start, earliest end from there on)`.
    until: Vec<(u64, u64)>,
    /// `(start, latest end up to there)`.
    reach: Vec<(u64, u64)>,
}

impl Writes {
    fn new(ops: &[Op]) -> Self {
        let writes = ops.iter().filter(|op| op.kind.changes()).map(|op| op.span);
        let mut reach: Vec<_> = writes.map(|span| (span.start, span.end)).collect();
        reach.sort_unstable();
        let mut until = reach.clone();
        let mut earliest = u64::MAX;
        for (_, end) in until.iter_mut().rev() {
            earliest = earliest.min(*end);
            *end = earliest;
        }
        let mut latest = 0;
        for (_, end) in &mut reach {
            latest = latest.max(*end);
            *end = latest;
        }
        Self { until, reach }
    }

    /// The earliest end of those that began after `time`.
    fn end_after(&self, time: u64) -> u64 {
        let next = self.until.partition_point(|&(start, _)| start <= time);
        self.until.get(next).map_or(u64::MAX, |&(_, end)| end)
    }

    /// Whether one of them overlaps `span`.
    fn overlap(&self, span: Span) -> bool {
        let begun = self.reach.partition_point(|&(start, _)| start <= span.end);
        self.reach[..begun]
            .last()
            .is_some_and(|&(_, end)| end >= span.start)
    }
}

/// Who saw the result of one load.
#[derive(Default)]
struct Seen {
    /// In the bucket.
    found: Vec<Span>,
    /// As an answer, which may have come from the bucket too.
    answered: Vec<Span>,
}

/// Turns the history of one key with loads into one without. `reloaded` says whether anybody asks
/// for loads of this key without waiting.
pub(crate) fn settle(
    ops: &[Op],
    answers: &[Answer],
    loads: &[Load],
    reloaded: bool,
) -> Result<Vec<Op>, LoadFault> {
    let writes = Writes::new(ops);
    let mut seen: HashMap<u64, (Load, Seen)> = loads
        .iter()
        .filter(|load| load.value != 0)
        .map(|load| (load.value, (*load, Seen::default())))
        .collect();
    let mut plain = Vec::with_capacity(ops.len() + answers.len());
    for op in ops {
        match seen.get_mut(&op.value) {
            Some((_, seen)) if op.kind == Kind::Read => seen.found.push(op.span),
            _ => plain.push(*op),
        }
    }
    let mut absent = Vec::new();
    for answer in answers {
        if answer.value == 0 {
            absent.push(*answer);
        } else if let Some((_, seen)) = seen.get_mut(&answer.value) {
            seen.answered.push(answer.span);
        } else {
            let Answer { key, value, span } = *answer;
            plain.push(Op {
                kind: Kind::Read,
                key,
                value,
                span,
            });
        }
    }
    absences_were_loaded(absent, loads, &writes)?;
    // A flight is over, or superseded, before the next one begins. Only what is loaded by the way, on
    // keys that are reloaded, has no flight.
    let mut starts: Vec<u64> = loads.iter().map(|load| load.span.start).collect();
    starts.sort_unstable();
    let next_load = |time: u64| {
        let next = starts.get(starts.partition_point(|&start| start <= time));
        next.filter(|_| !reloaded).copied().unwrap_or(u64::MAX)
    };
    for load in loads.iter().filter(|load| load.value == 0) {
        let start = load.span.start;
        let end = writes.end_after(start).min(next_load(start));
        plain.push(Op {
            kind: Kind::MayRemove,
            key: load.key,
            value: 0,
            span: Span { start, end },
        });
    }
    for (load, seen) in seen.into_values() {
        settle_one(load, seen, &writes, reloaded, &mut plain)?;
    }
    Ok(plain)
}

fn settle_one(
    load: Load,
    seen: Seen,
    writes: &Writes,
    reloaded: bool,
    plain: &mut Vec<Op>,
) -> Result<(), LoadFault> {
    let until = writes.end_after(load.span.start);
    let all = || seen.found.iter().chain(&seen.answered).copied();
    if let Some(seen) = all().find(|span| span.end < load.span.start) {
        return Err(LoadFault::Early { load, seen });
    }
    if let Some(seen) = all().find(|span| span.start > until) {
        return Err(LoadFault::Outdated {
            load,
            overwritten: until,
            seen,
        });
    }
    let first_seen = all().map(|span| span.end).min().unwrap_or(u64::MAX);
    let mut found = seen.found;
    found.extend(seen.answered.iter().filter(|span| span.start > first_seen));
    if load.ignored {
        return found
            .first()
            .map_or(Ok(()), |&seen| Err(LoadFault::Stored { load, seen }));
    }
    let begun = seen.answered.iter().map(|span| span.start).min();
    let done = seen.answered.iter().map(|span| span.end).min();
    if let (Some(start), Some(end), false) = (begun, done, reloaded)
        && !writes.overlap(Span {
            start: start.min(load.span.start),
            end,
        })
    {
        found.push(Span {
            start: load.span.start,
            end,
        });
    }
    let Some(first_found) = found.iter().map(|span| span.end).min() else {
        return Ok(());
    };
    let Load {
        key, value, span, ..
    } = load;
    let span = Span {
        start: span.start,
        end: until.min(first_found),
    };
    plain.push(Op {
        kind: Kind::Install,
        key,
        value,
        span,
    });
    plain.extend(found.into_iter().map(|span| Op {
        kind: Kind::Read,
        key,
        value,
        span,
    }));
    Ok(())
}

/// Whether each answer "absent" can have come from a load that said so.
fn absences_were_loaded(
    answers: Vec<Answer>,
    loads: &[Load],
    writes: &Writes,
) -> Result<(), LoadFault> {
    // By start, each with the latest time until which it, or one before it, can answer.
    let mut absences: Vec<(u64, u64)> = loads
        .iter()
        .filter(|load| load.value == 0)
        .map(|load| (load.span.start, writes.end_after(load.span.start)))
        .collect();
    absences.sort_unstable();
    for answer in answers {
        // A later load can answer for longer, so the last that had begun decides.
        let begun = absences.partition_point(|&(start, _)| start <= answer.span.end);
        let last = begun.checked_sub(1).map(|last| absences[last].1);
        if last.is_none_or(|until| until < answer.span.start) {
            return Err(LoadFault::Invented { answer });
        }
    }
    Ok(())
}
