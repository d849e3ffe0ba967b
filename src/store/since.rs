//! What is written while a dataset is being fetched.

use super::budget::Purse;
use super::overlay::{Overlay, Write};
use crate::contain::contained;
use crate::sync::Arc;
use crate::{Key, Value};

/// Overwritten writes are not worth getting rid of below this; chosen, not measured.
const LEAST: usize = 8192;

/// Every overlay sealed since the fetch began. They are newer than the dataset and will be laid over it.
pub(super) struct Since<K, V> {
    /// Oldest first.
    overlays: Vec<Arc<Overlay<K, V>>>,
    /// What has a lower number began before the fetch, and is older than the dataset.
    floor: u64,
    /// As many writes as were left when the overlays were last made one.
    compacted: usize,
}

impl<K: Key, V: Value> Since<K, V> {
    pub(super) fn new(floor: u64) -> Self {
        Self {
            overlays: Vec::new(),
            floor,
            compacted: 0,
        }
    }

    pub(super) fn overlays(&self) -> &[Arc<Overlay<K, V>>] {
        &self.overlays
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Keeps an overlay. A fetch may take long, and a key may be written often meanwhile, so when most of what
    /// is kept may be overwritten, only the last write of each key is.
    pub(super) fn keep(&mut self, sealed: &Arc<Overlay<K, V>>) {
        self.overlays.push(Arc::clone(sealed));
        let written: usize = self.overlays.iter().map(|overlay| overlay.written()).sum();
        if written < 2 * self.compacted + LEAST {
            return;
        }
        self.compacted = written;
        // Where a `Clone` or an `Eq` panics, all of it stays.
        if let Ok(one) = contained(|| last_writes(&self.overlays)) {
            self.compacted = one.keys();
            self.overlays = vec![one];
        }
    }
}

/// An overlay with the last write of every key. One that is the same once more, with another time or without its value,
/// may have a lower number, as that was folded: here it has its own again.
fn last_writes<K: Key, V: Value>(overlays: &[Arc<Overlay<K, V>>]) -> Arc<Overlay<K, V>> {
    let keys = overlays.iter().map(|overlay| overlay.keys()).max();
    let one = Overlay::new(usize::MAX, keys.unwrap_or(0));
    for overlay in overlays.iter().rev() {
        overlay.for_each(|hash, key, write| {
            let newer = one.get(hash, key);
            let last = match newer {
                None => write,
                Some(newer) if newer.number() < write.number() => newer,
                Some(_) => return,
            };
            let content = last.content().clone();
            let copy = Write::new(write.number(), content, last.last_touched());
            let weight = newer.map_or(copy.content().weight.get(), |_| 0);
            let mut none = Purse::none();
            if one.put_if(hash, key.clone(), copy, &mut none, |_| true) {
                one.add_weight(weight);
            }
        });
    }
    one
}
