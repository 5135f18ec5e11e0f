//! The JSON of single values and errors. Written by hand, so that parts that are already JSON are attached unchanged.

use std::borrow::Cow;

use async_graphql::{PathSegment, Pos, Value};
use serde::Serialize;

use super::Body;
use crate::error::GraphqlError;

pub(super) fn write_value(out: &mut Body, value: &Value) {
    match value {
        Value::Null => out.push("null"),
        Value::Binary(json) => out.attach(json),
        Value::Boolean(is) => out.push(if *is { "true" } else { "false" }),
        Value::String(text) => write(out, text),
        Value::Enum(name) => write(out, name),
        Value::Number(_) => write(out, value),
        Value::List(items) => {
            out.push("[");
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(",");
                }
                write_value(out, item);
            }
            out.push("]");
        }
        Value::Object(fields) => {
            out.push("{");
            for (index, (name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(",");
                }
                write(out, name);
                out.push(":");
                write_value(out, value);
            }
            out.push("}");
        }
    }
}

/// Writes strings, numbers and structs of this crate, all of which are valid JSON.
pub(super) fn write(out: &mut Body, value: &(impl Serialize + ?Sized)) {
    let start = out.end();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.back_to(start);
        out.push("null");
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
    #[serde(skip_serializing_if = "<[PathSegment]>::is_empty")]
    path: &'a [PathSegment],
    request_id: &'a str,
}

impl<'a> Error<'a> {
    /// An error of the whole request; `path` is empty then, or of the field that it leads to.
    pub fn new(error: &'a GraphqlError, locations: &'a [Pos], path: &'a [PathSegment], request_id: &'a str) -> Self {
        Self {
            message: error.message.as_ref().into(),
            locations,
            path,
            extensions: Extensions {
                code: error.code.as_str(),
                path: &error.input_path,
                request_id,
            },
        }
    }

    pub fn write(&self, out: &mut Body, index: usize) {
        if index > 0 {
            out.push(",");
        }
        write(out, self);
    }
}
