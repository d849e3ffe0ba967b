//! Many keys at once: as many are looked up together as a processor fetches at a time.

use std::borrow::Borrow;

use super::View;
use crate::table::AT_ONCE;

impl<K: Eq + Clone, V> View<K, V> {
    /// Calls `each` for every key, in their order, with its value, if it is cached.
    #[inline(always)]
    pub(crate) fn get_many<'a, 'q, Q>(
        &'a self,
        keys: &[&'q Q],
        hash: impl Fn(&Q) -> u64,
        mut each: impl FnMut(&'q Q, Option<&'a V>),
    ) where
        K: Borrow<Q>,
        Q: Eq + ?Sized + 'q,
    {
        if let Some(reads) = &self.reads {
            return self.get_many_counted(reads, keys, &hash, &mut each);
        }
        let hash_of = |key: &&'q Q| hash(key);
        for group in keys.chunks(AT_ONCE) {
            let table = &self.current.table;
            table.hits_or(
                group,
                hash_of,
                |&key| key,
                |hash, key, hit| {
                    let value = match hit {
                        Ok(value) => Some(value),
                        Err(why) if self.is_without(why, hash) => None,
                        Err(_) => self.beyond_hit(hash, key).value(),
                    };
                    each(key, value);
                },
            );
        }
    }
}
