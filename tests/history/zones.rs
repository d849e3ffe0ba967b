//! Whether the history of one key is that of a register, decided by zones.
//!
//! Every value is written once. Let `f` be the earliest end and `s` the latest start of the calls
//! that wrote or saw a value. If `f < s`, some call had returned before another began, and the
//! value was there all the while between: a *forward* zone. If not, the calls all overlap, and
//! could have happened in one moment of `[s, f]`: a *backward* zone. Values alone are linearizable
//! exactly if nobody saw a value before its write began, no two forward zones overlap, and no
//! backward zone lies inside a forward one (Gibbons and Korach, SIAM J. Comput. 1997).
//!
//! Absence has many writers and its readers cannot tell which of them they saw. So it gets rules
//! that never blame a history that is right, and the rest is left to [`crate::search`], which is
//! exact and slower:
//! * A removal or a miss that lies inside a forward zone is wrong: the value was there all the
//!   time. That is the lost removal, the resurrection, and the false miss.
//! * A miss needs a removal that it can have seen: one that began before the miss ended, that is
//!   not certainly older than a value which itself is certainly older than the miss, and that has
//!   a gap between forward zones in common with the miss. The bucket is empty at the start, which
//!   counts as a removal at time 0.

use crate::record::{Kind, Op, Span};
use std::fmt;

/// The life of one value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zone {
    pub(crate) value: u64,
    /// The call that wrote it.
    pub(crate) written: Span,
    /// The earliest end of a call that wrote or saw it.
    pub(crate) f: u64,
    /// The latest start of such a call.
    pub(crate) s: u64,
}

impl Zone {
    fn is_forward(&self) -> bool {
        self.f < self.s
    }

    /// Whether `span` lies strictly inside, so that nothing else can have happened in it.
    fn encloses(&self, span: Span) -> bool {
        self.f < span.start && span.end < self.s
    }

    /// The time within which a backward zone's calls can all have happened at once.
    fn moment(&self) -> Span {
        Span {
            start: self.s,
            end: self.f,
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            value,
            written,
            f,
            s,
        } = self;
        write!(
            out,
            "{value:#x} (written {}..{}, f {f}, s {s})",
            written.start, written.end
        )
    }
}

/// Why a history is not one of a register.
#[allow(dead_code, reason = "read by whoever reads the report")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Violation {
    /// A value was seen that nobody wrote.
    Phantom { value: u64, seen: Span },
    /// A value was written twice: the recording is wrong, not the bucket.
    WrittenTwice { value: u64 },
    /// A value was seen by a call that ended before the write began.
    BeforeWritten { zone: Zone, seen: Span },
    /// Two values were each there all through times that overlap: one came back.
    CameBack { first: Zone, second: Zone },
    /// A write happened while another value was there throughout: it was lost, or undone.
    LostWrite { inner: Zone, outer: Zone },
    /// The same of a removal.
    LostRemoval { removal: Span, zone: Zone },
    /// A key was missed while its value was there throughout.
    FalseMiss { miss: Span, zone: Zone },
    /// A key was missed and no removal can be the reason.
    Unexplained { miss: Span },
    /// No order of the calls explains this one ([`crate::search`]).
    NoOrder { op: Op },
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CameBack { first, second } => {
                write!(
                    out,
                    "two values in turn, back and forth: {first} and {second}"
                )
            }
            Self::LostWrite { inner, outer } => {
                write!(out, "lost write: {inner} while there was {outer}")
            }
            Self::LostRemoval { removal, zone } => {
                write!(
                    out,
                    "lost removal {}..{}: still {zone}",
                    removal.start, removal.end
                )
            }
            Self::FalseMiss { miss, zone } => {
                write!(
                    out,
                    "false miss {}..{}: there was {zone}",
                    miss.start, miss.end
                )
            }
            other => write!(out, "{other:?}"),
        }
    }
}

impl Violation {
    /// The time to look at.
    pub(crate) fn span(&self) -> Span {
        match *self {
            Self::Phantom { seen, .. } => seen,
            Self::WrittenTwice { .. } => Span { start: 0, end: 0 },
            Self::BeforeWritten { zone, seen } => Span {
                start: seen.start,
                end: zone.written.end,
            },
            Self::CameBack { first, second } => Span {
                start: second.f,
                end: first.s,
            },
            Self::LostWrite { inner, outer } => Span {
                start: inner.s.max(outer.f),
                end: inner.f.min(outer.s),
            },
            Self::LostRemoval { removal, .. } => removal,
            Self::FalseMiss { miss, .. } | Self::Unexplained { miss } => miss,
            Self::NoOrder { op } => op.span,
        }
    }
}

/// The history of one key, arranged for the questions that are asked of it.
#[derive(Debug)]
pub(crate) struct Register {
    /// By value.
    zones: Vec<Zone>,
    /// By start; the first stands for the empty bucket.
    removals: Vec<Span>,
    /// Spans within which there may have been removals.
    perhaps: Vec<Span>,
    misses: Vec<Span>,
}

impl Register {
    /// Collects the zones. Fails if a value was seen that was not written before.
    pub(crate) fn new(ops: &[Op]) -> Result<Self, Violation> {
        let mut removals = vec![Span { start: 0, end: 0 }];
        let mut perhaps = Vec::new();
        let mut misses = Vec::new();
        let mut valued = Vec::with_capacity(ops.len());
        for op in ops {
            match op.kind {
                Kind::Remove => removals.push(op.span),
                Kind::MayRemove => perhaps.push(op.span),
                Kind::Miss => misses.push(op.span),
                Kind::Write | Kind::Read => valued.push(*op),
                Kind::Install => valued.push(Op {
                    kind: Kind::Write,
                    ..*op
                }),
                Kind::WriteIfAbsent => {
                    misses.push(op.span);
                    valued.push(Op {
                        kind: Kind::Write,
                        ..*op
                    });
                }
            }
        }
        removals.sort_unstable();
        // Writes first, so that each value's calls begin with it.
        valued.sort_unstable_by_key(|op| (op.value, op.kind != Kind::Write));
        let zones: Result<Vec<Zone>, Violation> = valued
            .chunk_by(|one, next| one.value == next.value)
            .map(zone)
            .collect();
        Ok(Self {
            zones: zones?,
            removals,
            perhaps,
            misses,
        })
    }

    /// The zones, by value.
    pub(crate) fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// The removals, by start. The first one is the emptiness at the beginning.
    pub(crate) fn removals(&self) -> &[Span] {
        &self.removals
    }

    /// The zone of a value, if it was ever written.
    pub(crate) fn zone(&self, value: u64) -> Option<&Zone> {
        let at = self
            .zones
            .binary_search_by_key(&value, |zone| zone.value)
            .ok()?;
        Some(&self.zones[at])
    }

    /// Looks for a violation.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        let mut forward: Vec<Zone> = self
            .zones
            .iter()
            .copied()
            .filter(Zone::is_forward)
            .collect();
        forward.sort_unstable_by_key(|zone| zone.f);
        for pair in forward.windows(2) {
            if pair[1].f < pair[0].s {
                return Err(Violation::CameBack {
                    first: pair[0],
                    second: pair[1],
                });
            }
        }
        let gaps = Gaps { forward };
        for inner in self.zones.iter().filter(|zone| !zone.is_forward()) {
            if let Some(outer) = gaps.around(inner.moment()) {
                return Err(Violation::LostWrite {
                    inner: *inner,
                    outer,
                });
            }
        }
        for &removal in &self.removals[1..] {
            if let Some(zone) = gaps.around(removal) {
                return Err(Violation::LostRemoval { removal, zone });
            }
        }
        self.check_misses(&gaps)
    }

    fn check_misses(&self, gaps: &Gaps) -> Result<(), Violation> {
        // latest[i].1 is the latest s of the zones whose f is at most latest[i].0.
        let mut latest: Vec<(u64, u64)> = self.zones.iter().map(|zone| (zone.f, zone.s)).collect();
        latest.sort_unstable();
        let mut reach = 0;
        for (_, s) in &mut latest {
            reach = reach.max(*s);
            *s = reach;
        }
        let mut by_end = self.removals.clone();
        by_end.extend(&self.perhaps);
        by_end.sort_unstable_by_key(|span| span.end);
        let longest = by_end
            .iter()
            .map(|span| span.end - span.start)
            .max()
            .unwrap_or(0);

        for &miss in &self.misses {
            if let Some(zone) = gaps.around(miss) {
                return Err(Violation::FalseMiss { miss, zone });
            }
            // A removal that ended before `since` is older than some value that is older than
            // the miss.
            let older = latest.partition_point(|&(f, _)| f < miss.start);
            let since = older.checked_sub(1).map_or(0, |last| latest[last].1);
            let explained = by_end[by_end.partition_point(|span| span.end < since)..]
                .iter()
                .take_while(|removal| removal.end <= miss.end.saturating_add(longest))
                .any(|removal| removal.start <= miss.end && gaps.shared(*removal, miss));
            if !explained {
                return Err(Violation::Unexplained { miss });
            }
        }
        Ok(())
    }
}

/// The zone of one value, from the calls that concern it, its write first.
fn zone(calls: &[Op]) -> Result<Zone, Violation> {
    let (value, written) = (calls[0].value, calls[0].span);
    if calls[0].kind != Kind::Write {
        return Err(Violation::Phantom {
            value,
            seen: written,
        });
    }
    if calls.get(1).is_some_and(|op| op.kind == Kind::Write) {
        return Err(Violation::WrittenTwice { value });
    }
    let mut zone = Zone {
        value,
        written,
        f: written.end,
        s: written.start,
    };
    for op in &calls[1..] {
        zone.f = zone.f.min(op.span.end);
        zone.s = zone.s.max(op.span.start);
    }
    match calls[1..].iter().find(|op| op.span.precedes(written)) {
        Some(op) => Err(Violation::BeforeWritten {
            zone,
            seen: op.span,
        }),
        None => Ok(zone),
    }
}

/// Forward zones that do not overlap, in the order of time, and the gaps between them: the only
/// times at which anything else can have happened.
struct Gaps {
    forward: Vec<Zone>,
}

impl Gaps {
    /// The forward zone that leaves no moment for `span`, if there is one.
    fn around(&self, span: Span) -> Option<Zone> {
        let before = self.forward.partition_point(|zone| zone.f < span.start);
        self.forward[..before]
            .last()
            .filter(|zone| zone.encloses(span))
            .copied()
    }

    /// The first and the last gap that a span reaches; gap `i` comes before forward zone `i`.
    fn reach(&self, span: Span) -> (usize, usize) {
        let first = self.forward.partition_point(|zone| zone.f < span.start);
        let last = self.forward.partition_point(|zone| zone.s <= span.end);
        (first, last)
    }

    fn shared(&self, one: Span, other: Span) -> bool {
        let (one, other) = (self.reach(one), self.reach(other));
        one.0.max(other.0) <= one.1.min(other.1)
    }
}
