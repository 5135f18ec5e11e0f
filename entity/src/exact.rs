//! Writes a double as text that parses back to the same bits.
//!
//! SQLite converts a REAL to text with 15 digits only, so its column is TEXT and holds the text written here.
//! PostgreSQL parses the same text into a DOUBLE PRECISION, and returns an equally exact JSON number.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Number(f64),
    Text(String),
}

pub fn serialize<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => serializer.collect_str(number),
        None => serializer.serialize_none(),
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match Option::deserialize(deserializer)? {
        Some(Stored::Number(number)) => Ok(Some(number)),
        Some(Stored::Text(text)) => text.parse().map(Some).map_err(D::Error::custom),
        None => Ok(None),
    }
}
