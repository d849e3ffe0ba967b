//! What a table takes of the memory.

use super::Table;

impl<K, V> Table<K, V> {
    /// Bytes of the table itself, gaps included; not what keys and values own elsewhere.
    pub(crate) fn bytes(&self) -> usize {
        let beside = [
            self.timed.as_ref().map_or(0, |timed| timed.bytes()),
            self.weighed.as_ref().map_or(0, |weighed| weighed.bytes()),
            self.touched.as_ref().map_or(0, |touched| touched.bytes()),
            self.written.as_ref().map_or(0, |written| written.bytes()),
        ];
        let levels = self.first.bytes() + self.second.bytes() + self.last.bytes();
        size_of::<Self>() + levels + beside.iter().sum::<usize>()
    }
}
