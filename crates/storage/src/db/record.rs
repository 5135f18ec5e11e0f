//! Reads rows of entities from one column of a result: records and arrays of records of PostgreSQL in binary form, or
//! JSON. PostgreSQL takes twice as long to write JSON.
//!
//! The formats are those of `record_send` and `array_send` in PostgreSQL.

use std::array::TryFromSliceError;

use sea_orm::{
    DbErr, QueryResult,
    sqlx::{Row, postgres::PgRow},
};
use serde::{
    de::{
        self, DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor,
        value::{Error, SeqAccessDeserializer},
    },
    forward_to_deserialize_any,
};

use clientele_core::error::{self, Result};

/// Microseconds from 1970 to 2000, with which the time of PostgreSQL begins, and days.
const EPOCH_MICROSECONDS: i128 = 946_684_800_000_000;
const EPOCH_DAYS: i32 = 10_957;

/// A row that was selected by [`RecordForm::row`](super::RecordForm::row), and its size in bytes as sent.
pub fn record<T: DeserializeOwned>(row: &QueryResult, at: usize) -> Result<(T, usize)> {
    match row.try_as_pg_row() {
        Some(row) => read(bytes(row, at)?.unwrap_or_default(), of_record),
        None => read(row.try_get_by_index::<String>(at)?.as_bytes(), of_record),
    }
}

/// The rows that were selected by [`RecordForm::rows`](super::RecordForm::rows), in no order, and their size in bytes
/// as sent. None if the column is null.
pub fn records<T: DeserializeOwned>(row: &QueryResult, at: usize) -> Result<Option<(Vec<T>, usize)>> {
    match row.try_as_pg_row() {
        Some(row) => bytes(row, at)?.map(|bytes| read(bytes, of_array)).transpose(),
        None => {
            let text: Option<String> = row.try_get_by_index(at)?;
            text.map(|text| read(text.as_bytes(), of_array)).transpose()
        }
    }
}

/// Reads JSON, or else by `of_binary`: its first byte is that of a small number.
fn read<T: DeserializeOwned>(bytes: &[u8], of_binary: impl Fn(&[u8]) -> Result<T, Error>) -> Result<(T, usize)> {
    let read = match bytes.first() {
        Some(b'[') => serde_json::from_slice(bytes).map_err(error::Error::internal),
        _ => of_binary(bytes).map_err(error::Error::internal),
    };
    Ok((read?, bytes.len()))
}

fn bytes(row: &PgRow, at: usize) -> Result<Option<&[u8]>, DbErr> {
    let value = row.try_get_raw(at).map_err(|error| DbErr::Type(error.to_string()))?;
    // The only error is a null.
    Ok(value.as_bytes().ok())
}

fn of_array<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, Error> {
    let mut rest = bytes;
    let dimensions = i32::from_be_bytes(take(&mut rest)?);
    let [_has_nulls, _element_type] = [take::<4>(&mut rest)?, take::<4>(&mut rest)?];
    if dimensions == 0 {
        return Ok(Vec::new());
    }
    let length = i32::from_be_bytes(take(&mut rest)?);
    let _lower_bound = take::<4>(&mut rest)?;
    // The length is a hint: each record has at least 4 bytes.
    let mut records = Vec::with_capacity(usize::try_from(length).unwrap_or_default().min(rest.len() / 4));
    while !rest.is_empty() {
        let record = value(&mut rest)?.ok_or_else(malformed)?;
        records.push(of_record(record)?);
    }
    Ok(records)
}

fn malformed() -> Error {
    de::Error::custom("a malformed record")
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Error> {
    let (taken, left) = rest.split_first_chunk().ok_or_else(malformed)?;
    *rest = left;
    Ok(*taken)
}

/// A value with its length before it. None for null.
fn value<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Error> {
    let Ok(length) = usize::try_from(i32::from_be_bytes(take(rest)?)) else {
        return Ok(None);
    };
    let (value, left) = rest.split_at_checked(length).ok_or_else(malformed)?;
    *rest = left;
    Ok(Some(value))
}

fn of_record<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, Error> {
    let _columns = take::<4>(&mut bytes)?;
    T::deserialize(SeqAccessDeserializer::new(Record { rest: bytes }))
}

/// The columns of a record, in the order in which they were selected.
struct Record<'a> {
    rest: &'a [u8],
}

impl<'de> SeqAccess<'de> for Record<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let kind = u32::from_be_bytes(take(&mut self.rest)?);
        let value = value(&mut self.rest)?;
        seed.deserialize(Column { kind, value }).map(Some)
    }
}

/// A value of a column, with the OID of its type.
struct Column<'a> {
    kind: u32,
    value: Option<&'a [u8]>,
}

impl<'de> Deserializer<'de> for Column<'de> {
    type Error = Error;

    /// Instants are microseconds since 1970, and dates are days.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Some(value) = self.value else {
            return visitor.visit_unit();
        };
        let fixed = |_: TryFromSliceError| malformed();
        match self.kind {
            // text, varchar
            25 | 1043 => visitor.visit_borrowed_str(std::str::from_utf8(value).map_err(|_| malformed())?),
            // integer, bigint
            23 => visitor.visit_i32(i32::from_be_bytes(value.try_into().map_err(fixed)?)),
            20 => visitor.visit_i64(i64::from_be_bytes(value.try_into().map_err(fixed)?)),
            // boolean
            16 => visitor.visit_bool(value != [0]),
            // double precision
            701 => visitor.visit_f64(f64::from_be_bytes(value.try_into().map_err(fixed)?)),
            // date, timestamp with time zone
            1082 => {
                let days = i32::from_be_bytes(value.try_into().map_err(fixed)?);
                visitor.visit_i32(days.checked_add(EPOCH_DAYS).ok_or_else(malformed)?)
            }
            1184 => {
                let microseconds = i64::from_be_bytes(value.try_into().map_err(fixed)?);
                visitor.visit_i128(i128::from(microseconds) + EPOCH_MICROSECONDS)
            }
            kind => Err(de::Error::custom(format_args!("a record with a column of type {kind}"))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            None => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::of_array;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        name: String,
        position: i32,
        note: Option<String>,
    }

    /// An array of one record with a text, an integer and a null, as PostgreSQL sends it.
    fn sent() -> Vec<u8> {
        let int = i32::to_be_bytes;
        let columns = [
            [int(25), int(3)].concat(),
            b"Ada".to_vec(),
            [int(23), int(4), int(7)].concat(),
            [int(25), int(-1)].concat(),
        ];
        let record = [int(3).to_vec(), columns.concat()].concat();
        let length = i32::try_from(record.len()).expect("a short record");
        let head = [int(1), int(0), int(2249), int(1), int(1), int(length)].concat();
        [head, record].concat()
    }

    #[test]
    fn an_array_of_records_is_read() {
        let row = Row {
            name: "Ada".to_owned(),
            position: 7,
            note: None,
        };
        assert_eq!(of_array::<Row>(&sent()), Ok(vec![row]));
        let empty = [0, 0, 2249].map(i32::to_be_bytes).concat();
        assert_eq!(of_array::<Row>(&empty), Ok(Vec::new()));
    }

    #[test]
    fn an_incomplete_array_is_an_error() {
        let sent = sent();
        // The first five numbers are those of the array.
        let incomplete = (0..sent.len()).filter(|end| *end != 20);
        for end in incomplete {
            of_array::<Row>(&sent[..end]).expect_err("it is incomplete");
        }
    }
}
