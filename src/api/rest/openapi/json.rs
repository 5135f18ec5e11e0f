//! JSON whose members keep their order, so that a description reads from the general to the particular.

use serde::{Serialize, Serializer};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Value(Value),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// An object with these members.
pub fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    members.into_iter().collect()
}

impl Json {
    /// True for an object or a list without contents.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Value(_) => false,
            Self::List(items) => items.is_empty(),
            Self::Object(members) => members.is_empty(),
        }
    }

    /// The same object with one more member. Another value stays as it is.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Self>) -> Self {
        if let Self::Object(members) = &mut self {
            members.push((name.to_owned(), value.into()));
        }
        self
    }

    /// Like [`with`](Self::with), unless the text is empty.
    #[must_use]
    pub fn with_text(self, name: &str, text: &str) -> Self {
        match text.is_empty() {
            true => self,
            false => self.with(name, text),
        }
    }
}

impl<N: Into<String>> FromIterator<(N, Json)> for Json {
    fn from_iter<I: IntoIterator<Item = (N, Json)>>(members: I) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl FromIterator<Self> for Json {
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        Self::List(items.into_iter().collect())
    }
}

impl<V: Into<Value>> From<V> for Json {
    fn from(value: V) -> Self {
        Self::Value(value.into())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => serializer.collect_map(members.iter().map(|(name, value)| (name, value))),
        }
    }
}
