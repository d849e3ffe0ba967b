//! Joint writes: several keys at once, if none of them was changed since it was looked at. DESIGN.md, "Joint writes".

use std::hash::BuildHasher;

use super::budget::Purse;
use super::fold::Folder;
use super::gate::Gate;
use super::seen::{Identity, Seen};
use super::write::{mark, nudge};
use super::{Content, Store, View, Write};
use crate::contain::{contained, drop_contained};
use crate::error::Error;
use crate::sync::{Arc, atomic::AtomicUsize, fault, order};
use crate::{Key, Value};

/// What is to be written, as the folder is asked for it.
pub(crate) struct Joint<K, V> {
    verdict: Arc<Verdict>,
    parts: Vec<Part<K, V>>,
}

/// One key of it.
pub(crate) struct Part<K, V> {
    pub(crate) hash: u64,
    pub(crate) key: K,
    pub(crate) seen: Seen,
    /// It had a value, the tags of which the new one has.
    pub(crate) had_value: bool,
    /// None where the key is to stay as it is.
    pub(crate) content: Option<Content<V>>,
}

/// What has become of a joint write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// All of it is written.
    Done,
    /// Nothing is: a key was changed.
    Changed,
    /// Nothing is: there is no room for it.
    Full,
}

impl<K, V> Joint<K, V> {
    pub(crate) fn new(parts: Vec<Part<K, V>>) -> Self {
        Self {
            verdict: Arc::new(Verdict(AtomicUsize::new(OPEN))),
            parts,
        }
    }

    pub(crate) fn verdict(&self) -> &Arc<Verdict> {
        &self.verdict
    }
}

/// Whether a joint write takes effect. Decided once: by the folder that it does, by anybody that it does not.
pub(crate) struct Verdict(AtomicUsize);

const OPEN: usize = 0;
const TAKEN: usize = 1;
const BROKEN: usize = 2;

impl Verdict {
    /// It takes effect, from now on. Returns whether it does.
    fn take(&self) -> bool {
        let (to, order) = (TAKEN, order::CLAIM);
        self.0.compare_exchange(OPEN, to, order, order).is_ok()
    }

    /// It does not take effect, unless that has been decided. Returns whether it does not.
    pub(crate) fn break_off(&self) -> bool {
        let (to, order) = (BROKEN, order::CLAIM);
        let before = self.0.compare_exchange(OPEN, to, order, order);
        before.map_or_else(|now| now == BROKEN, |_| true)
    }

    fn is_taken(&self) -> bool {
        self.0.load(order::CLAIM) == TAKEN
    }
}

/// A joint write as a view names it, for those who write its keys.
pub(super) struct Placed {
    verdict: Arc<Verdict>,
    /// The hashes of all its keys, in order.
    hashes: Vec<u64>,
    links: Vec<Link>,
}

/// A write that is in the active overlay, and not found there before it is linked.
struct Link {
    hash: u64,
    index: usize,
    /// What was seen of its key.
    seen: Seen,
}

impl Link {
    /// Whether what the active overlay has of its key is what was seen: nothing, where that is below it.
    fn follows(&self, there: Option<Identity>) -> bool {
        there.is_none() || there == self.seen.write
    }
}

impl<K: Eq, V> View<K, V> {
    /// To be called before anything is looked at or put for a key. A joint write of the key that is being decided on does
    /// not take effect, then; of one that does what concerns the key is put, so that what follows comes after it.
    #[inline]
    pub(super) fn give_way(&self, hash: u64) {
        if let Some(joints) = &self.joints {
            self.give_way_to(joints, hash);
        }
    }

    #[cold]
    #[inline(never)]
    fn give_way_to(&self, joints: &[Placed], hash: u64) {
        for joint in joints {
            if joint.hashes.binary_search(&hash).is_err() || fault::planted("joint_unnoticed") {
                continue;
            }
            if !joint.verdict.break_off() && !fault::planted("joint_not_helped") {
                self.link_all(joint, |there| there == hash);
            }
        }
    }

    /// Puts what is decided and concerns the key.
    fn help(&self, hash: u64) {
        for joint in self.joints.iter().flat_map(|joints| joints.iter()) {
            if joint.hashes.binary_search(&hash).is_ok() && joint.verdict.is_taken() {
                self.link_all(joint, |there| there == hash);
            }
        }
    }

    /// Has the writes found whose hash is `wanted`, unless they are already, or were replaced since.
    fn link_all(&self, joint: &Placed, wanted: impl Fn(u64) -> bool) {
        for link in joint.links.iter().filter(|link| wanted(link.hash)) {
            let follows = |there: Option<&Write<V>>| link.follows(there.map(Write::identity));
            self.active.link_if(link.index, follows);
        }
    }

    /// What the write of a link replaces, in the active overlay.
    fn replaced(&self, link: &Link) -> Option<&Write<V>> {
        let (key, _) = self.active.prepared(link.index);
        self.active.get(link.hash, key)
    }
}

/// What was seen of keys, and the values that they had.
pub(crate) type Looked<'v, V> = (Vec<Seen>, Vec<Option<&'v V>>);

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// What keys have in a view, if there is a moment in which they had all of that, and no joint write shows in part.
    /// Else they are to be looked at again, in the view of then.
    pub(crate) fn look_at_once<'v>(
        &self,
        held: &'v View<K, V>,
        keys: &[(u64, K)],
    ) -> Option<Looked<'v, V>> {
        let look = |view: &View<K, V>| -> Vec<Seen> {
            let seen = keys.iter().map(|(hash, key)| Seen::of(view, *hash, key));
            seen.collect()
        };
        let seen = look(held);
        let values = keys.iter().map(|(hash, key)| held.uncounted(*hash, key));
        let values = values.collect();
        let again = self.load_view();
        // What is decided may be there in part. If any of that was seen, all of it is in this view.
        if again.joints.is_some() && !fault::planted("joint_seen_in_part") {
            self.help_with(keys);
        }
        // What is as it was has been so in between.
        (look(&again) == seen).then_some((seen, values))
    }

    /// Sees to it that what is decided and concerns these keys is put.
    pub(crate) fn help_with(&self, keys: &[(u64, K)]) {
        let nudge = self.inside(|view| {
            keys.iter().for_each(|(hash, _)| view.help(*hash));
            view.active.nudge()
        });
        self.ring(nudge);
    }

    /// Whether it takes effect, in the view in which it is decided on.
    fn decide(&self, view: &View<K, V>, joint: &Placed, kept: &[(u64, K, Seen)]) -> Joined {
        let is_as_seen = |hash, key: &K, seen| {
            Seen::of(view, hash, key) == seen || fault::planted("joint_not_compared")
        };
        let written = |link: &Link| {
            let (key, _) = view.active.prepared(link.index);
            is_as_seen(link.hash, key, link.seen)
        };
        let stay = kept
            .iter()
            .all(|(hash, key, seen)| is_as_seen(*hash, key, *seen));
        if !stay || !joint.links.iter().all(written) {
            joint.verdict.break_off();
            return Joined::Changed;
        }
        let mut purse = Purse::of(view);
        let weights = joint.links.iter().map(|link| {
            let (_, write) = view.active.prepared(link.index);
            write.content().weight.get()
        });
        let held = joint.links.iter().map(|link| {
            let (key, _) = view.active.prepared(link.index);
            purse.left(view, view.replaced(link), link.hash, key)
        });
        let held = held.sum();
        // All that may fail comes before it is decided.
        let replaced: Vec<_> = joint.links.iter().map(|link| view.replaced(link)).collect();
        if !purse.pay_beyond(weights.clone(), held) {
            self.ring(nudge(view, &purse));
            return match joint.verdict.break_off() {
                true => Joined::Full,
                false => Joined::Changed,
            };
        }
        if !joint.verdict.take() {
            return Joined::Changed;
        }
        for (link, replaced) in joint.links.iter().zip(replaced) {
            let (key, _) = view.active.prepared(link.index);
            purse.take_seen(view, replaced, link.hash, key);
        }
        purse.make_up(weights.clone().fold(0, u64::saturating_add));
        view.link_all(joint, |_| true);
        for weight in weights {
            purse.spend(&view.active, weight);
        }
        self.ring(nudge(view, &purse));
        Joined::Done
    }

    /// Has what is to be written in the active overlay, where nobody finds it yet, and marked.
    fn prepare(&self, view: &View<K, V>, joint: Joint<K, V>) -> (Placed, Vec<(u64, K, Seen)>) {
        let mut hashes: Vec<u64> = joint.parts.iter().map(|part| part.hash).collect();
        hashes.sort_unstable();
        let (mut kept, mut links) = (Vec::new(), Vec::new());
        for part in joint.parts {
            let (hash, seen) = (part.hash, part.seen);
            let Some(content) = part.content else {
                kept.push((hash, part.key, seen));
                continue;
            };
            mark(view, hash, &part.key);
            // Above that of all that may have been seen.
            let number = self.numbers.draw();
            if part.had_value && content.value.is_some() {
                let seen = seen.write.map(|write| write.number);
                self.keep_tags(view, (hash, &part.key), number, seen);
            }
            let write = Write::new(number, content, self.times.moment());
            let index = view.active.prepare(hash, part.key, write);
            links.push(Link { hash, index, seen });
        }
        let placed = Placed {
            verdict: joint.verdict,
            hashes,
            links,
        };
        (placed, kept)
    }
}

impl<K: Key, V: Value> Folder<K, V> {
    /// Decides on joint writes, one after the other, and puts those of whose keys none was changed.
    pub(crate) fn join<S: BuildHasher>(
        &mut self,
        store: &Store<K, V, S>,
        asked: Vec<Joint<K, V>>,
    ) -> Vec<Result<Joined, Error>> {
        // What an `Eq` that panics has kept from its end comes first.
        if let Err(error) = contained(|| self.finish_joints(store)) {
            let refused = asked.into_iter().map(|joint| {
                drop_contained(joint);
                Err(error.clone())
            });
            return refused.collect();
        }
        let view = store.cell.load_full();
        if !view.caching {
            let nothing = asked.into_iter().map(|joint| {
                drop_contained(joint);
                Ok(Joined::Done)
            });
            return nothing.collect();
        }
        let (mut joints, mut places) = (Vec::new(), Vec::new());
        for joint in asked {
            places.push(
                contained(|| store.prepare(&view, joint)).map(|(placed, kept)| {
                    joints.push(placed);
                    (joints.len() - 1, kept)
                }),
            );
        }
        let joints = Arc::new(joints);
        let deciding = View {
            gate: Gate::new(),
            joints: Some(Arc::clone(&joints)),
            ..View::clone(&view)
        };
        self.replace(store, deciding);
        // From here on who writes one of the keys knows of it.
        view.gate.close();
        if !fault::planted("joint_does_not_wait") {
            view.gate.wait_sealed();
        }
        let view = store.cell.load_full();
        let decided = places.into_iter().map(|place| {
            let (at, kept) = place?;
            let decided = contained(|| store.decide(&view, &joints[at], &kept));
            kept.into_iter().for_each(drop_contained);
            decided
        });
        let decided = decided.collect();
        // Else the next rotation does.
        let _ = contained(|| self.finish_joints(store));
        decided
    }

    /// Puts all that is decided, and has nobody look for it any more.
    pub(super) fn finish_joints<S: BuildHasher>(&mut self, store: &Store<K, V, S>) {
        let view = store.cell.load_full();
        let Some(joints) = &view.joints else {
            return;
        };
        for joint in joints.iter() {
            // One that a panic has left undecided.
            if !joint.verdict.break_off() {
                view.link_all(joint, |_| true);
            }
        }
        let finished = View {
            joints: None,
            ..View::clone(&view)
        };
        self.replace(store, finished);
    }
}
