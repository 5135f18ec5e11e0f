//! Hides secrets in what the argument parser quotes.

use clap::error::{ContextKind, ContextValue};

use crate::config::redacted;

/// The parser quotes what it doesn't understand, which may be the database's address in the wrong place. `text` is its
/// message.
pub(super) fn redact(error: &clap::Error, text: &str) -> String {
    let quoted = error.context().filter_map(|(kind, value)| match (kind, value) {
        (
            ContextKind::InvalidArg | ContextKind::InvalidSubcommand | ContextKind::InvalidValue,
            ContextValue::String(value),
        ) if !value.is_empty() => Some(value),
        _ => None,
    });
    quoted.fold(text.to_owned(), |text, value| text.replace(value, &redacted(value)))
}
