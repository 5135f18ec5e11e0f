//! A secret text. Printing it shows only that it is set.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};

const HIDDEN: &str = "***";

/// A password or another secret. Empty means not set, and prints as empty. Clones share it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Secret(Arc<str>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl Secret {
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The secret text itself, for authentication only.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "" } else { HIDDEN })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_printed_secret_shows_only_that_there_is_one() {
        for (text, shown) in [("hunter2", "***"), ("", "")] {
            let secret = Secret::new(text);
            assert_eq!(secret.to_string(), shown);
            assert_eq!(format!("{secret:?}"), format!("Secret({shown})"));
            assert_eq!(
                serde_json::to_string(&secret).expect("serialises"),
                format!("{shown:?}")
            );
            assert_eq!(secret.reveal(), text);
        }
    }
}
