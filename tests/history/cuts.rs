//! Whether snapshots are cuts, and follow one another.
//!
//! Which of two writes to a key came first is known where a call of the one ended before a call of
//! the other began: value `u` certainly precedes `v` if `u.f < v.s` (see [`crate::zones`]). Only
//! what is certain is held against a snapshot:
//! * It is a *cut*: if a write is in it, so is every write that had returned before that one
//!   began, unless superseded. And a fold that was asked for holds all that had returned by then.
//! * A group is in it whole: next to one member, no key of the group has anything that certainly
//!   precedes its member.
//! * What one epoch contains, a later one contains or supersedes: what is gone stays gone, and
//!   nothing is followed by what certainly precedes it.

use crate::{
    record::{EpochSeen, Group, Shot},
    zones::{Register, Zone},
};
use std::collections::{HashMap, HashSet};

/// The order of one key's writes, as far as it is certain.
struct Order<'a> {
    register: &'a Register,
    /// Zones by `s`: `(s, value, end of the write)`.
    by_s: Vec<(u64, u64, u64)>,
    /// For each place of `by_s`, the two earliest ends of writes from there on, with the value of
    /// the first.
    earliest: Vec<(u64, u64, u64)>,
    /// `(end of a write, latest s of the values written until then)`.
    written: Vec<(u64, u64)>,
    /// `(start of a removal, earliest end of the removals from there on)`.
    removed_after: Vec<(u64, u64)>,
    /// `(start of a removal, latest end of the removals up to it)`.
    removed_before: Vec<(u64, u64)>,
    /// `(end of a removal, earliest start of the removals from there on)`.
    removed_by_end: Vec<(u64, u64)>,
}

impl<'a> Order<'a> {
    fn new(register: &'a Register) -> Self {
        let zones = register.zones();
        let mut by_s: Vec<_> = zones
            .iter()
            .map(|z| (z.s, z.value, z.written.end))
            .collect();
        by_s.sort_unstable();
        let mut earliest = vec![(u64::MAX, 0, u64::MAX); by_s.len() + 1];
        for (at, &(_, value, end)) in by_s.iter().enumerate().rev() {
            let (first, of, second) = earliest[at + 1];
            earliest[at] = if end < first {
                (end, value, first)
            } else {
                (first, of, second.min(end))
            };
        }
        let mut written: Vec<_> = zones.iter().map(|z| (z.written.end, z.s)).collect();
        written.sort_unstable();
        running(written.iter_mut(), u64::max);

        let spans = register.removals();
        let mut removed_after: Vec<_> = spans.iter().map(|span| (span.start, span.end)).collect();
        let mut removed_before = removed_after.clone();
        running(removed_after.iter_mut().rev(), u64::min);
        running(removed_before.iter_mut(), u64::max);
        let mut removed_by_end: Vec<_> = spans.iter().map(|span| (span.end, span.start)).collect();
        removed_by_end.sort_unstable();
        running(removed_by_end.iter_mut().rev(), u64::min);
        Self {
            register,
            by_s,
            earliest,
            written,
            removed_after,
            removed_before,
            removed_by_end,
        }
    }

    /// The latest end of the removals that had begun by `time`.
    fn latest_removal(&self, time: u64) -> u64 {
        let begun = self
            .removed_before
            .partition_point(|&(start, _)| start <= time);
        self.removed_before[begun - 1].1
    }

    /// The earliest start of the removals that can be the reason for an absence, when all that was
    /// written before `time` has been seen.
    fn earliest_removal(&self, time: u64) -> u64 {
        let seen = self.written.partition_point(|&(end, _)| end < time);
        let latest = seen.checked_sub(1).map_or(0, |last| self.written[last].1);
        let from = self
            .removed_by_end
            .partition_point(|&(end, _)| end < latest);
        self.removed_by_end
            .get(from)
            .map_or(u64::MAX, |&(_, start)| start)
    }

    /// Whether a write other than that of `value` is certainly newer than something that ended
    /// at `f`, and had returned by `time`.
    fn overwritten(&self, f: u64, value: u64, time: u64) -> bool {
        let newer = self.by_s.partition_point(|&(s, ..)| s <= f);
        let (first, of, second) = self.earliest[newer];
        (if of == value { second } else { first }) < time
    }

    /// The same of removals.
    fn removed(&self, f: u64, time: u64) -> bool {
        let newer = self.removed_after.partition_point(|&(start, _)| start <= f);
        self.removed_after
            .get(newer)
            .is_some_and(|&(_, end)| end < time)
    }
}

/// Replaces the second of each pair by the best so far.
fn running<'p>(pairs: impl Iterator<Item = &'p mut (u64, u64)>, better: fn(u64, u64) -> u64) {
    let mut best = None;
    for (_, item) in pairs {
        let now = best.map_or(*item, |old| better(old, *item));
        (*item, best) = (now, Some(now));
    }
}

/// What the snapshots of one epoch had, and a time after which nothing that is in it began.
struct Epoch<'s> {
    epoch: u64,
    until: u64,
    values: &'s [u64],
}

/// Everything that is known about the writes of a run, ready to judge snapshots.
pub(crate) struct Cuts<'a> {
    orders: Vec<Order<'a>>,
    groups: &'a [Group],
    group_of: HashMap<u64, usize>,
    /// `(epoch, latest start of the folds asked for up to it)`.
    folds: Vec<(u64, u64)>,
    /// `(epoch, earliest end of the folds asked for from there on)`.
    folded: Vec<(u64, u64)>,
}

impl<'a> Cuts<'a> {
    /// Arranges the registers of all keys, the groups, and the folds that were waited for.
    pub(crate) fn new(
        registers: &'a [Register],
        groups: &'a [Group],
        publishes: &[EpochSeen],
    ) -> Self {
        let mut folds: Vec<_> = publishes
            .iter()
            .map(|fold| (fold.epoch, fold.span.start))
            .collect();
        folds.sort_unstable();
        running(folds.iter_mut(), u64::max);
        let mut folded: Vec<_> = publishes
            .iter()
            .map(|fold| (fold.epoch, fold.span.end))
            .collect();
        folded.sort_unstable();
        running(folded.iter_mut().rev(), u64::min);
        let members = groups.iter().enumerate();
        let group_of = members
            .flat_map(|(at, group)| group.iter().map(move |&(_, v)| (v, at)))
            .collect();
        Self {
            orders: registers.iter().map(Order::new).collect(),
            groups,
            group_of,
            folds,
            folded,
        }
    }

    /// Looks for a snapshot that is not a cut, or does not follow an earlier one. Returns how many
    /// different epochs were seen.
    pub(crate) fn check(&self, shots: &[Shot]) -> Result<usize, String> {
        let mut shots: Vec<&Shot> = shots.iter().collect();
        shots.sort_by_key(|shot| (shot.epoch, shot.span.start));
        for pair in shots.windows(2) {
            if pair[0].epoch == pair[1].epoch && pair[0].values != pair[1].values {
                return Err(format!("two snapshots of epoch {} differ", pair[0].epoch));
            }
        }
        // An epoch holds nothing that began after it, or a later one, had been seen.
        let mut until: Vec<(u64, u64)> = shots
            .iter()
            .map(|shot| (shot.epoch, shot.span.end))
            .collect();
        running(until.iter_mut().rev(), u64::min);
        for (epoch, end) in &mut until {
            let later = self.folded.partition_point(|(folded, _)| folded < epoch);
            *end = self
                .folded
                .get(later)
                .map_or(*end, |&(_, folded)| folded.min(*end));
        }
        let mut shots: Vec<Epoch<'_>> = shots
            .into_iter()
            .zip(until)
            .map(|(shot, (epoch, until))| Epoch {
                epoch,
                until,
                values: &shot.values,
            })
            .collect();
        shots.dedup_by_key(|shot| shot.epoch);
        // And it holds all that earlier ones had to hold.
        let mut since = 0;
        for shot in &shots {
            since = self
                .is_cut(shot, since)
                .map_err(|why| format!("epoch {}: {why}", shot.epoch))?;
        }
        for (key, order) in self.orders.iter().enumerate() {
            follow(key, order, &shots)?;
        }
        Ok(shots.len())
    }

    /// Checks one snapshot that has to hold all writes which had returned before `since`, or are
    /// superseded. Returns the time for which this turned out to be true.
    fn is_cut(&self, shot: &Epoch<'_>, since: u64) -> Result<u64, String> {
        let mut zones: Vec<Option<&Zone>> = Vec::with_capacity(shot.values.len());
        let asked = self
            .folds
            .partition_point(|&(epoch, _)| epoch <= shot.epoch);
        let mut since = since.max(asked.checked_sub(1).map_or(0, |last| self.folds[last].1));
        for (key, (&value, order)) in shot.values.iter().zip(&self.orders).enumerate() {
            let zone = order.register.zone(value);
            if value != 0 && zone.is_none_or(|zone| zone.written.start > shot.until) {
                return Err(format!(
                    "key {key} has {value:#x}, which nobody had written"
                ));
            }
            since = since.max(zone.map_or(0, |zone| zone.written.start));
            zones.push(zone);
        }
        // A removal in it counts as a write in it, and may show that more has to be.
        for _ in 0..2 {
            let absent = zones
                .iter()
                .zip(&self.orders)
                .filter(|(zone, _)| zone.is_none());
            let removed = absent.map(|(_, order)| order.earliest_removal(since));
            since = since.max(
                removed
                    .filter(|&start| start != u64::MAX)
                    .max()
                    .unwrap_or(0),
            );
        }
        for (key, (zone, order)) in zones.iter().zip(&self.orders).enumerate() {
            let stale = match zone {
                Some(zone) => {
                    order.overwritten(zone.f, zone.value, since) || order.removed(zone.f, since)
                }
                None => order.overwritten(order.latest_removal(shot.until), 0, since),
            };
            if stale {
                let what = zone.map_or_else(|| "nothing".into(), ToString::to_string);
                return Err(format!(
                    "key {key} has {what}, and lacks a newer write that had returned before {since}"
                ));
            }
        }
        zones
            .iter()
            .flatten()
            .try_for_each(|zone| self.has_group_of(zone, &zones, shot.until))?;
        Ok(since)
    }

    fn has_group_of(&self, zone: &Zone, zones: &[Option<&Zone>], until: u64) -> Result<(), String> {
        let Some(&group) = self.group_of.get(&zone.value) else {
            return Ok(());
        };
        for &(key, value) in &self.groups[group] {
            let key = usize::from(key);
            let order = &self.orders[key];
            let Some(member) = order.register.zone(value) else {
                return Err(format!("the recording lacks {value:#x}"));
            };
            let older = match zones[key] {
                Some(found) => found.value != value && found.f < member.s,
                None => order.latest_removal(until) < member.s,
            };
            if older {
                return Err(format!(
                    "torn: {:#x} is in it, and key {key} lacks {value:#x} of the same group",
                    zone.value
                ));
            }
        }
        Ok(())
    }
}

/// Checks one key through all epochs.
fn follow(key: usize, order: &Order<'_>, shots: &[Epoch<'_>]) -> Result<(), String> {
    let mut gone = HashSet::new();
    // The value with the latest `s` of those that are gone.
    let mut newest: Option<&Zone> = None;
    let mut before = 0;
    for shot in shots {
        let value = shot.values[key];
        if value == before {
            continue;
        }
        if before != 0 {
            gone.insert(before);
            newest = newest
                .into_iter()
                .chain(order.register.zone(before))
                .max_by_key(|z| z.s);
        }
        before = value;
        let back = match (order.register.zone(value), newest) {
            (Some(zone), Some(newest)) => gone.contains(&value) || zone.f < newest.s,
            (None, Some(newest)) => order.latest_removal(shot.until) < newest.s,
            (_, None) => false,
        };
        if back {
            let (epoch, gone) = (shot.epoch, newest.map(ToString::to_string));
            return Err(format!(
                "epoch {epoch}: key {key} has {value:#x} again, after {gone:?}"
            ));
        }
    }
    Ok(())
}

/// Whether the epochs that threads were shown never go back: for each thread in its own order, and
/// from a call that ended to any that began later.
pub(crate) fn epochs_advance<'a>(
    threads: impl Iterator<Item = &'a [EpochSeen]>,
) -> Result<usize, String> {
    let mut all: Vec<EpochSeen> = Vec::new();
    for (thread, seen) in threads.enumerate() {
        if let Some(pair) = seen.windows(2).find(|pair| pair[1].epoch < pair[0].epoch) {
            return Err(format!("thread {thread} saw an epoch go back: {pair:?}"));
        }
        all.extend(seen);
    }
    let mut ended = all.clone();
    ended.sort_unstable_by_key(|seen| seen.span.end);
    all.sort_unstable_by_key(|seen| seen.span.start);
    let (mut next, mut highest) = (0, 0);
    for seen in &all {
        while ended[next].span.precedes(seen.span) {
            highest = highest.max(ended[next].epoch);
            next += 1;
        }
        if seen.epoch < highest {
            return Err(format!("{seen:?}, though {highest} had been seen before"));
        }
    }
    Ok(all.len())
}
