//! Hides secrets in text that the argument parser quotes.

use clap::error::{ContextKind, ContextValue};

use crate::config::redacted;

/// Redacts `text`, the parser's message. The parser quotes unknown arguments, which may be a misplaced database
/// address.
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
