//! Who takes snapshots, and looks at them again.

use crate::{
    calls::Store,
    id::Id,
    record::{EpochSeen, Key, Log, Shot},
};
use larder::{DefaultHashBuilder, Snapshot};

/// As many snapshots as a taker writes down.
const MOST_SHOTS: usize = 20_000;

/// And as many epochs.
const MOST_EPOCHS: usize = 1 << 20;

/// Takes snapshots, and keeps some of them to see that they do not change.
#[derive(Clone)]
pub(crate) struct Taker {
    pub(crate) bucket: Store,
    keys: usize,
    taken: usize,
    kept: Vec<(Shot, Snapshot<Id, u64, DefaultHashBuilder>)>,
}

impl Taker {
    pub(crate) fn new(bucket: &Store, keys: usize) -> Self {
        Self {
            bucket: bucket.clone(),
            keys,
            taken: 0,
            kept: Vec::new(),
        }
    }

    pub(crate) fn turn(&mut self, log: &mut Log) {
        let (snapshot, span) = log.timed(|| self.bucket.snapshot());
        let epoch = snapshot.epoch();
        let shot = Shot {
            epoch,
            span,
            values: self.contents(&snapshot, log),
        };
        if log.epochs.len() < MOST_EPOCHS {
            log.epochs.push(EpochSeen { epoch, span });
        }
        self.taken += 1;
        if self.taken.is_multiple_of(512) {
            // One of the kept ones is looked at again, and gives way to this one.
            let at = self.taken / 512 % 16;
            if let Some((then, kept)) = self.kept.get(at) {
                let now = self.contents(kept, log);
                if now != then.values || kept.epoch() != then.epoch {
                    log.complaints
                        .push(format!("epoch {} has changed", then.epoch));
                }
                self.kept[at] = (shot.clone(), snapshot.clone());
            } else {
                self.kept.push((shot.clone(), snapshot.clone()));
            }
        }
        let last = log.shots.last().filter(|last| last.epoch == epoch);
        match last {
            Some(last) if last.values != shot.values => {
                log.complaints
                    .push(format!("two snapshots of epoch {epoch} differ"));
            }
            None if log.shots.len() < MOST_SHOTS => log.shots.push(shot),
            _ => {}
        }
    }

    /// Everything in a snapshot, by key, asked for in two ways.
    fn contents(
        &self,
        snapshot: &Snapshot<Id, u64, DefaultHashBuilder>,
        log: &mut Log,
    ) -> Vec<u64> {
        let mut values = vec![0; self.keys];
        for (&Id(key), &value) in snapshot.iter() {
            values[usize::from(key)] = value;
        }
        let found = values.iter().filter(|&&value| value != 0).count();
        let key = self.taken % self.keys;
        let one = snapshot.get(&Id(key as Key)).copied().unwrap_or(0);
        if found != snapshot.len() || one != values[key] {
            log.complaints
                .push(format!("{snapshot:?} contradicts itself"));
        }
        values
    }
}
