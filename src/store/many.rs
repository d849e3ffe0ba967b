//! Many keys at once: as many are looked up together as a processor fetches at a time.

use std::borrow::Borrow;
use std::iter::Fuse;

use super::View;
use crate::table::AT_ONCE;

/// Keys on their way to a lookup, with their hashes, some at a time.
pub(crate) struct Groups<'q, Q: ?Sized, I, H> {
    /// Some iterators go on after their end.
    keys: Fuse<I>,
    hash: H,
    group: Vec<(u64, &'q Q)>,
    /// Whether earlier groups stay in front of the last one.
    keeps: bool,
}

impl<'q, Q: ?Sized, I: Iterator<Item = &'q Q>, H: Fn(&Q) -> u64> Groups<'q, Q, I, H> {
    pub(crate) fn new(keys: I, hash: H) -> Self {
        Self {
            group: Vec::with_capacity(AT_ONCE.min(keys.size_hint().0)),
            keys: keys.fuse(),
            hash,
            keeps: false,
        }
    }

    /// The same, for who may have to ask for all of them again.
    pub(crate) fn keeping(keys: I, hash: H) -> Self {
        Self {
            group: Vec::with_capacity(keys.size_hint().0),
            keys: keys.fuse(),
            hash,
            keeps: true,
        }
    }

    /// All that were kept, in their order.
    pub(crate) fn into_kept(self) -> Vec<(u64, &'q Q)> {
        self.group
    }

    /// The next of them, or none at the end. Inlined, as a call for it would cost each key some instructions.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<&[(u64, &'q Q)]> {
        let hashed = |key| ((self.hash)(key), key);
        if !self.keeps {
            self.group.clear();
        }
        let before = self.group.len();
        self.group
            .extend(self.keys.by_ref().take(AT_ONCE).map(hashed));
        let group = &self.group[before..];
        (!group.is_empty()).then_some(group)
    }
}

impl<K: Eq + Clone, V> View<K, V> {
    /// Calls `each` for every key, in their order, with its value, if it is cached.
    pub(crate) fn get_many<'a, 'q, Q, I, H>(
        &'a self,
        groups: &mut Groups<'q, Q, I, H>,
        mut each: impl FnMut(&'q Q, Option<&'a V>),
    ) where
        K: Borrow<Q>,
        Q: Eq + ?Sized + 'q,
        I: Iterator<Item = &'q Q>,
        H: Fn(&Q) -> u64,
    {
        if let Some(reads) = &self.reads {
            return self.get_many_counted(reads, groups, &mut each);
        }
        while let Some(group) = groups.next() {
            self.current.table.hits_or(group, |at, hit| {
                let (hash, key) = group[at];
                let value = match hit {
                    Ok(value) => Some(value),
                    Err(why) if self.is_without(why, hash) => None,
                    Err(_) => self.beyond_hit(hash, key).value(),
                };
                each(key, value);
            });
        }
    }
}
