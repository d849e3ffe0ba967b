//! What is cached under tags, written and forgotten.

use super::Bucket;
use crate::error::Error;
use crate::store::Content;
use crate::tags::{Tag, Tags};
use crate::{HashBuilder, Key, Value};

impl<K: Key, V: Value, S: HashBuilder> Bucket<K, V, S> {
    /// Writes a value under tags: [`invalidate_tag`](Self::invalidate_tag) forgets all that is cached under one. As
    /// [`set`](Self::set) otherwise.
    ///
    /// A loader says the tags of what it loads itself: [`Outcome::tagged`](crate::Outcome::tagged). To have a time of its
    /// own as well, the value is given that after it is written: see [`expire_in`](Self::expire_in).
    pub fn set_with_tags(&self, key: K, value: V, tags: impl Into<Tags>) {
        let tags = tags.into();
        let hash = self.core.store.hash(&key);
        let content = Content::until(value, self.core.expires());
        let content = self.core.store.weighed(&key, content);
        self.core.write_tagged(hash, key, content, &tags);
    }

    /// Forgets all that is cached under a tag; returns how many keys had a value that went.
    ///
    /// Who reads one of these keys after this has returned finds nothing, or something newer. A load that began before and
    /// brings the tag is answered to those who wait for it already, and not stored; who asks after this has returned is
    /// not answered with that. The same is true of what was made from such a value before: by [`update`](Self::update), by
    /// a new time, or by a reload that found it [unchanged](crate::Outcome::Unchanged). What was written or loaded
    /// without the tag in place of what had it stays. A [snapshot](Self::snapshot) has all of the keys or none, as with
    /// [`invalidate_many`](Self::invalidate_many); reads of single keys may miss some before others.
    ///
    /// ```
    /// use larder::{Bucket, Outcome};
    ///
    /// let prices = Bucket::<(u32, &str), u32>::builder("prices")
    ///     .load(|(customer, article): &(u32, &str)| {
    ///         let price = customer * article.len() as u32;
    ///         let tags = [format!("customer:{customer}"), format!("article:{article}")];
    ///         Ok::<_, std::io::Error>(Outcome::from(price).tagged(tags))
    ///     })
    ///     .build()?;
    /// prices.get_many([&(17, "tea"), &(17, "salt"), &(18, "tea")]);
    /// // Customer 17 has another discount from now on.
    /// assert_eq!(prices.invalidate_tag("customer:17")?, 2);
    /// assert_eq!(prices.keys(), [(18, "tea")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # What has tags
    ///
    /// What a load brings under tags, also as one of several [pairs](crate::Loaded::with_pairs) or by a
    /// [warmer](super::Builder::warmer), and what is written by [`set_with_tags`](Self::set_with_tags). A value that is
    /// made of the one before has its tags: after `update`, [`update_many`](Self::update_many), [`expire_in`](
    /// Self::expire_in) and the like, and after a reload that finds it unchanged. Every other write of the key, and every
    /// load that brings a value, is without those tags. What a dataset brings has none, nor what comes back from a dump or a
    /// [storage](super::Builder::storage), which keep none. The tags of a value go with it, however it goes.
    ///
    /// # Errors
    ///
    /// As [`clear`](Self::clear), and `Panicked` if a `Clone`, `Hash` or `Eq` of the user panicked: then some of it may be
    /// left.
    ///
    /// # Blocking
    ///
    /// Waits for the refresher to end the fold that it is at, and for those who are writing at this moment.
    /// Takes time in proportion to what is cached under the tag, and to what was written with any tag since the last
    /// fold; nothing is copied. What is asked for at the same time is done together.
    #[doc(alias = "invalidate_group")]
    #[doc(alias = "evict_by_tag")]
    pub fn invalidate_tag(&self, tag: impl Into<Tag>) -> Result<usize, Error> {
        self.invalidate_tags(tag.into())
    }

    /// Forgets all that is cached under any of these tags, in one step. As [`invalidate_tag`](Self::invalidate_tag)
    /// otherwise.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn invalidate_tags(&self, tags: impl Into<Tags>) -> Result<usize, Error> {
        let tags = tags.into();
        let gone = self.ask_refresher(|requests| {
            requests.untag.tags.push(tags);
            &mut requests.untag.asked
        });
        gone.map(|gone| usize::try_from(gone).unwrap_or(usize::MAX))
    }
}
