//! What one load brought of many keys: stored inside one gate, and none of it over anything newer.

use std::hash::BuildHasher;

use super::budget::Purse;
use super::conditional::wait_sealed;
use super::overlay::Nudge;
use super::write::{mark, nudge};
use super::{Content, Store, View, Write};
use crate::sync::fault;
use crate::tags::Tags;
use crate::{Key, Value};

/// What has become of a group that one load brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupInstalled {
    /// Of so many keys something newer is there, or was.
    pub(crate) superseded: usize,
    /// For so many there was no room.
    pub(crate) refused: usize,
}

impl<K: Key, V: Value, S: BuildHasher> Store<K, V, S> {
    /// Stores what one load brought, but for keys that were changed since the load began: in every snapshot all that
    /// is stored of it, or nothing. Of two pairs with one key the last counts.
    ///
    /// Where there is no room for all of it nothing is stored, and what was there of its keys goes. Waits as
    /// [`write_if_absent`](Self::write_if_absent) does.
    pub(crate) fn install_group(
        &self,
        load: u64,
        group: Vec<(u64, K, Content<V>, Option<Tags>)>,
    ) -> GroupInstalled {
        if fault::planted("load_group_in_pieces") {
            for (hash, key, content, _) in group {
                let _ = self.install(load, hash, key, content, None);
            }
            return GroupInstalled::default();
        }
        let mut done = GroupInstalled::default();
        // Outlive the gate: what is not stored is dropped outside.
        let (mut outdated, mut refused, mut unheld) = (Vec::new(), Vec::new(), Vec::new());
        let mut unstored = Vec::new();
        // Keys are cloned outside.
        let tagging = group
            .iter()
            .map(|(hash, key, _, tags)| self.begin_tagging(*hash, key, tags.as_ref()));
        let mut tagging = tagging.collect::<Vec<_>>();
        let nudge = self.inside(|view| {
            if !view.caching && !fault::planted("loads_while_off") {
                unstored = group;
                return Nudge::None;
            }
            wait_sealed(view);
            let mut purse = Purse::of(view);
            let mut current = Vec::with_capacity(group.len());
            for ((hash, key, content, _), tagging) in group.into_iter().zip(tagging.drain(..)) {
                // The weight that is taken has to be that of what was compared.
                let seen = view.active.get(hash, &key);
                let overtaken = view.overtook(load, tagging.as_ref());
                if overtaken || load < newest_known(view, seen, hash, &key) {
                    outdated.push((hash, key, content, tagging));
                    continue;
                }
                purse.take_seen(view, seen, hash, &key);
                current.push((hash, key, content, tagging));
            }
            done.superseded = outdated.len();
            let paid = purse.pay_all(
                current
                    .iter()
                    .map(|(_, _, content, _)| content.weight.get()),
            );
            let mut pressed = match paid {
                true => Nudge::None,
                false => nudge(view, &purse),
            };
            for (hash, key, mut content, tagging) in current {
                if !paid {
                    done.refused += 1;
                    refused.push(content.value.take());
                    if !view.holds(hash, &key) {
                        unheld.push((hash, key, content));
                        continue;
                    }
                    content = None.into();
                }
                mark(view, hash, &key);
                let write = Write::new(load, content, self.times.moment());
                let put = view.active.put_if(hash, key, write, &mut purse, |there| {
                    there.is_none_or(|there| there.number() <= load)
                        || fault::planted("load_ignores_numbers")
                });
                match put {
                    true => {
                        view.active.say_tags(tagging.filter(|_| paid), load);
                        pressed = pressed.or(nudge(view, &purse));
                    }
                    // Written between the look and this, by who has a higher number.
                    false => done.superseded += 1,
                }
            }
            pressed
        });
        self.ring(nudge);
        done
    }
}

/// The highest number that is known of a key's writes, or the one that every load must have. `active` is the key's write
/// in the active overlay.
fn newest_known<K: Key, V>(
    view: &View<K, V>,
    active: Option<&Write<V>>,
    hash: u64,
    key: &K,
) -> u64 {
    let below = view.under_active(hash, key).map_or(0, Write::number);
    let written = active.map_or(0, Write::number).max(below);
    let folded = view.echo.as_ref().and_then(|echo| echo.last(hash));
    let floor = match fault::planted("floor_ignored") {
        true => 0,
        false => view.floor,
    };
    written.max(folded.unwrap_or(0)).max(floor)
}
