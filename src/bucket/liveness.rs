//! Values that die.

use std::borrow::Borrow;
use std::hash::Hash;

use super::Bucket;
use super::core::Core;
use crate::error::Error;
use crate::events::KeyEvent;
use crate::stats::Counters;
use crate::store::{Content, IfAbsent, inside_a_write};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Core<K, V, S> {
    /// Writes a value if the key has none that lives; else returns that, or this one if there is no room for it.
    pub(super) fn write_if_none_lives(
        &self,
        hash: u64,
        key: K,
        content: Content<V>,
    ) -> Result<(), IfAbsent<V>> {
        let content = self.store.weighed(&key, content);
        if !self.store.is_guarded() {
            return self.store.write_if_absent(hash, key, content);
        }
        let mut there = None;
        // An update asks the check with nothing held; what writes if nothing is there would ask in the middle of a write.
        let written = self.store.update_or_leave(hash, &key, |current, _, _| {
            there = current.cloned();
            there.is_none().then(|| content.clone())
        });
        match (there, written) {
            (Some(there), _) => Err(IfAbsent::Present(there)),
            (None, Some(Content { value: None, .. })) => Err(IfAbsent::Refused(content.value)),
            (None, _) => Ok(()),
        }
    }

    fn bury_if_dead(&self, hash: u64, key: &K) -> bool {
        let buried = self.store.bury_if_dead(hash, key);
        if buried {
            Counters::add(&self.stats.died, 1);
            self.loads.tell(KeyEvent::Disappeared, key);
        }
        buried
    }
}

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// Says that the value of a key may have died: asks the bucket's [`alive`](super::Builder::alive) check, and if it
    /// has, removes the value here and now. Returns whether it is removed.
    ///
    /// For who watches the owners of values, so that a dead one need not wait for a read to leave the memory. What is
    /// removed is what was asked about: a value that is written meanwhile stays, if it lives. So it does no harm to
    /// call this late, or twice. `false` without a check, as nothing dies then.
    ///
    /// ```
    /// use std::sync::{Arc, Weak};
    ///
    /// let sessions = larder::Bucket::<u32, Weak<str>>::builder("sessions")
    ///     .alive(|_, session| session.strong_count() > 0)
    ///     .build()?;
    /// let session: Arc<str> = "ann".into();
    /// sessions.set(1, Arc::downgrade(&session));
    /// assert!(!sessions.notify_dead(&1)?); // it lives
    /// drop(session);
    /// assert!(sessions.notify_dead(&1)?);
    /// assert!(!sessions.notify_dead(&1)?); // it is gone already
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `Reentrant` in the middle of a write (see [`Bucket`]).
    ///
    /// # Blocking
    ///
    /// As [`set_if_absent`](Self::set_if_absent), and for as long as the check takes.
    pub fn notify_dead<Q>(&self, key: &Q) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if inside_a_write() {
            return Err(Error::reentrant());
        }
        let hash = self.core.store.hash(key);
        Ok(self.core.bury_if_dead(hash, &key.to_owned()))
    }
}
