//! Joint writes that were asked for. DESIGN.md, "Joint writes".

use super::control::Reply;
use super::worker::Refresher;
use crate::contain::drop_contained;
use crate::error::Error;
use crate::store::{Joined, Joint};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Refresher<K, V, S> {
    /// Those of one turn share what they wait for.
    pub(super) fn join(&mut self, asked: Vec<(Joint<K, V>, Reply<Joined>)>) {
        if asked.is_empty() {
            return;
        }
        let (joints, replies): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        let joined = self.folder.join(&self.store, joints);
        for (reply, joined) in replies.into_iter().zip(joined) {
            reply.answer(joined);
        }
    }
}

/// Nothing of them is written any more.
pub(super) fn close_joints<K, V>(asked: Vec<(Joint<K, V>, Reply<Joined>)>) {
    for (joint, reply) in asked {
        drop_contained(joint);
        reply.answer(Err(Error::closed()));
    }
}
