//! Writes a date of a nullable column as text, and reads it from text or from days since 1970.

use std::fmt;

use chrono::NaiveDate;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

pub fn serialize<S: Serializer>(date: &Option<NaiveDate>, serializer: S) -> Result<S::Ok, S::Error> {
    date.serialize(serializer)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(|Stored(date)| date))
}

struct Stored(NaiveDate);

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfStored)
    }
}

struct OfStored;

impl Visitor<'_> for OfStored {
    type Value = Stored;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Stored, E> {
        text.parse().map(Stored).map_err(E::custom)
    }

    fn visit_i32<E: Error>(self, days: i32) -> Result<Stored, E> {
        NaiveDate::from_epoch_days(days)
            .map(Stored)
            .ok_or_else(|| E::custom("a date out of range"))
    }
}
