//! JSON of single values and errors. It knows no selections and no types.

use std::borrow::Cow;

use async_graphql::{PathSegment, Pos, Value};
use async_graphql_value::RAW_VALUE_TOKEN;
use serde::Serialize;

use crate::api::graphql::error::Code;

pub(super) fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null | Value::Binary(_) => out.extend_from_slice(b"null"),
        Value::Boolean(is) => out.extend_from_slice(if *is { b"true" } else { b"false" }),
        Value::String(text) => write(out, text),
        Value::Enum(name) => write(out, name),
        Value::Number(_) => write(out, value),
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(out, item);
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            if let Some(Value::String(json)) = fields.get(RAW_VALUE_TOKEN) {
                out.extend_from_slice(json.as_bytes());
                return;
            }
            out.push(b'{');
            for (index, (name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(out, name);
                out.push(b':');
                write_value(out, value);
            }
            out.push(b'}');
        }
    }
}

/// Strings, numbers and our own structs: nothing of it can fail to be JSON.
pub(super) fn write(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

#[derive(Serialize)]
pub(super) struct Error<'a> {
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "<[Pos]>::is_empty")]
    locations: &'a [Pos],
    #[serde(skip_serializing_if = "<[PathSegment]>::is_empty")]
    path: &'a [PathSegment],
    extensions: Extensions<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extensions<'a> {
    code: &'static str,
    request_id: &'a str,
}

impl<'a> Error<'a> {
    pub fn new(
        code: Code,
        message: &'a str,
        locations: &'a [Pos],
        path: &'a [PathSegment],
        request_id: &'a str,
    ) -> Self {
        Self {
            message: message.into(),
            locations,
            path,
            extensions: Extensions {
                code: code.as_str(),
                request_id,
            },
        }
    }

    pub fn write(&self, out: &mut Vec<u8>, index: usize) {
        if index > 0 {
            out.push(b',');
        }
        write(out, self);
    }
}
