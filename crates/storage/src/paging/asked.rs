//! The parts of a list that a caller selects.

/// The parts of a list that are selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Asked {
    pub rows: bool,
    pub total: bool,
    /// The contents of the rows, where they can be large.
    pub contents: bool,
}

impl Asked {
    pub fn or(self, other: Self) -> Self {
        Self {
            rows: self.rows || other.rows,
            total: self.total || other.total,
            contents: self.contents || other.contents,
        }
    }
}
