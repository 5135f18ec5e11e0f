//! Cursors: where a client stands in an order, as opaque text that stays good when clients come and go.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use entity::{client, instant};

use super::ClientOrderField;
use crate::scalar::DateTime;

/// A place in an order: the values of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub field: ClientOrderField,
    pub values: Vec<String>,
}

/// Longer than any cursor that was ever given out: three texts of 255 characters.
const LONGEST: usize = 8_192;

impl Cursor {
    pub fn of(client: &client::Model, field: ClientOrderField) -> Self {
        let key = client.encoded_key.clone();
        let values = match field {
            ClientOrderField::CreatedAt => vec![instant::to_text(&client.created_at), key],
            ClientOrderField::UpdatedAt => vec![instant::to_text(&client.updated_at), key],
            ClientOrderField::Name => {
                vec![client.last_name.clone(), client.first_name.clone(), key]
            }
        };
        Self { field, values }
    }

    pub fn encode(&self) -> String {
        let content = serde_json::to_vec(&(tag(self.field), &self.values)).expect("texts are JSON");
        BASE64_URL_SAFE_NO_PAD.encode(content)
    }

    /// Reads a cursor of this order; none when it isn't one.
    pub fn decode(text: &str, field: ClientOrderField) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let content = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (found, values): (String, Vec<String>) = serde_json::from_slice(&content).ok()?;
        let fits = found == tag(field)
            && values.len() == field.columns().len()
            && values.iter().all(|value| !value.contains('\0'))
            && (field == ClientOrderField::Name || is_instant(&values[0]));
        fits.then_some(Self { field, values })
    }
}

/// Exactly the stored form: SQLite compares it as text.
fn is_instant(text: &str) -> bool {
    DateTime::parse(text).is_some_and(|parsed| instant::to_text(&parsed.0) == text)
}

fn tag(field: ClientOrderField) -> &'static str {
    match field {
        ClientOrderField::CreatedAt => "created",
        ClientOrderField::UpdatedAt => "updated",
        ClientOrderField::Name => "name",
    }
}
