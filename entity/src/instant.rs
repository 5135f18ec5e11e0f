//! Writes an instant as text: UTC with exactly six fraction digits, so that SQLite's text order is the order in time.
//! Reads it from text or from microseconds since 1970.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{
    Deserialize, Deserializer, Serializer,
    de::{Error, Visitor},
};

/// The stored form of an instant.
pub fn to_text(instant: &DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}

pub fn serialize<S: Serializer>(instant: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_text(instant))
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    Ok(Stored::deserialize(deserializer)?.0)
}

struct Stored(DateTime<Utc>);

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfStored)
    }
}

struct OfStored;

impl Visitor<'_> for OfStored {
    type Value = Stored;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instant")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Stored, E> {
        text.parse().map(Stored).map_err(E::custom)
    }

    /// No JSON number comes as one of 128 bits: a file with numbers for instants is refused.
    fn visit_i128<E: Error>(self, microseconds: i128) -> Result<Stored, E> {
        let instant = i64::try_from(microseconds)
            .ok()
            .and_then(DateTime::from_timestamp_micros);
        instant.map(Stored).ok_or_else(|| E::custom("an instant out of range"))
    }
}

/// The same for a nullable column.
pub mod option {
    use super::{DateTime, Deserialize, Deserializer, Serializer, Stored, Utc};

    pub fn serialize<S: Serializer>(instant: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        match instant {
            Some(instant) => super::serialize(instant, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        Ok(Option::deserialize(deserializer)?.map(|Stored(instant)| instant))
    }
}
