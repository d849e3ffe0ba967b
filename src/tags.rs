//! Tags: names under which values are grouped. DESIGN.md, "Tags".

use std::borrow::Cow;
use std::fmt;

use crate::sync::Arc;

/// A name under which values are grouped, as `customer:17`: see [`Outcome::tagged`](crate::Outcome::tagged) and
/// [`Bucket::invalidate_tag`](crate::Bucket::invalidate_tag).
///
/// Cheap to clone. Two with the same text are the same tag.
///
/// ```
/// use larder::Tag;
///
/// let tag = Tag::from(format!("customer:{}", 17));
/// assert_eq!(tag, Tag::from("customer:17"));
/// assert_eq!(tag.as_str(), "customer:17");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both are one piece of memory.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Tag {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Tag {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&String> for Tag {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<Cow<'_, str>> for Tag {
    fn from(text: Cow<'_, str>) -> Self {
        Self(text.into())
    }
}

impl From<Arc<str>> for Tag {
    fn from(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl From<&Self> for Tag {
    fn from(tag: &Self) -> Self {
        tag.clone()
    }
}

/// Some tags, each once, in order of their text. Cheap to clone.
///
/// One tag, an array and a `Vec` of tags, or of what a tag is made from, convert.
///
/// ```
/// use larder::Tags;
///
/// let tags = Tags::from(["price", "customer:17", "price"]);
/// assert_eq!(tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(), ["customer:17", "price"]);
/// assert!(tags.contains("price"));
/// assert_eq!(tags, (["customer:17", "price"]).into_iter().collect());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Tags(Arc<[Tag]>);

impl Tags {
    /// Each of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Tag> {
        self.0.iter()
    }

    /// Whether a tag is among them.
    #[must_use]
    pub fn contains(&self, tag: &str) -> bool {
        self.0.binary_search_by(|it| it.as_str().cmp(tag)).is_ok()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one is among both.
    pub(crate) fn meet(&self, others: &Self) -> bool {
        let (few, many) = match self.len() <= others.len() {
            true => (self, others),
            false => (others, self),
        };
        few.iter().any(|tag| many.contains(tag.as_str()))
    }

    /// All of both.
    pub(crate) fn and(&self, others: &Self) -> Self {
        self.iter().chain(others.iter()).collect()
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T: Into<Tag>> FromIterator<T> for Tags {
    fn from_iter<I: IntoIterator<Item = T>>(tags: I) -> Self {
        let mut tags: Vec<Tag> = tags.into_iter().map(Into::into).collect();
        tags.sort_unstable();
        tags.dedup();
        Self(tags.into())
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = &'a Tag;
    type IntoIter = std::slice::Iter<'a, Tag>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Into<Tag>, const N: usize> From<[T; N]> for Tags {
    fn from(tags: [T; N]) -> Self {
        tags.into_iter().collect()
    }
}

impl<T: Into<Tag>> From<Vec<T>> for Tags {
    fn from(tags: Vec<T>) -> Self {
        tags.into_iter().collect()
    }
}

impl From<Tag> for Tags {
    fn from(tag: Tag) -> Self {
        std::iter::once(tag).collect()
    }
}

impl From<&Tag> for Tags {
    fn from(tag: &Tag) -> Self {
        tag.clone().into()
    }
}

impl From<&str> for Tags {
    fn from(tag: &str) -> Self {
        Tag::from(tag).into()
    }
}

impl From<String> for Tags {
    fn from(tag: String) -> Self {
        Tag::from(tag).into()
    }
}

impl From<&Self> for Tags {
    fn from(tags: &Self) -> Self {
        tags.clone()
    }
}
