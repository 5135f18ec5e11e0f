//! The parameters of a GraphQL request, from a JSON body or a query string. What is wrong with them is said in a sentence.

use async_graphql::{Value as ConstValue, Variables};
use axum::{extract::Query, http::Uri};
use serde::Deserialize;

use crate::api::graphql::error::{Code, Fault};

#[derive(Debug, PartialEq)]
pub(super) struct Params {
    pub query: String,
    pub operation_name: Option<String>,
    pub variables: Variables,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Variables,
    #[serde(default)]
    extensions: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    document_id: Option<String>,
}

fn bad(message: &'static str) -> Fault {
    Fault::new(Code::BadRequest, message)
}

pub(super) fn from_body(body: &[u8]) -> Result<Params, Fault> {
    // The reader takes an array for an object's members in their order.
    let is_object = body.trim_ascii_start().first() == Some(&b'{');
    match serde_json::from_slice::<Raw>(body) {
        Ok(raw) if is_object => complete(raw),
        // Read again to say what is wrong; serde's own words would quote the body.
        _ => Err(explain(body)),
    }
}

fn explain(body: &[u8]) -> Fault {
    use serde_json::Value;
    if std::str::from_utf8(body).is_err() {
        return bad("The body is not UTF-8.");
    }
    let value = match serde_json::from_slice::<Value>(body) {
        Ok(value) => value,
        // The reader has no other name for it.
        Err(error) if error.to_string().starts_with("number out of range") => {
            return bad("A number in the body is too large.");
        }
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let message = format!("The body is not JSON, or nested too deeply: see line {line}, column {column}.");
            return Fault::new(Code::BadRequest, message);
        }
    };
    let Value::Object(members) = value else {
        return bad(if value.is_array() {
            "Several requests in one body are not supported. Send one JSON object."
        } else {
            "The body must be a JSON object."
        });
    };
    let wrong =
        |name: &str, fits: fn(&Value) -> bool| members.get(name).is_some_and(|value| !value.is_null() && !fits(value));
    if wrong("query", Value::is_string) {
        bad("\"query\" must be a string.")
    } else if wrong("operationName", Value::is_string) {
        bad("\"operationName\" must be a string.")
    } else if wrong("variables", Value::is_object) {
        bad("\"variables\" must be an object.")
    } else if wrong("extensions", Value::is_object) {
        bad("\"extensions\" must be an object.")
    } else if wrong("documentId", Value::is_string) {
        bad("\"documentId\" must be a string.")
    } else {
        bad("The body has the same parameter twice.")
    }
}

pub(super) fn from_query(uri: &Uri) -> Result<Params, Fault> {
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
        return Err(bad("The query string can't be read."));
    };
    let mut raw = Raw {
        query: None,
        operation_name: None,
        variables: Variables::default(),
        extensions: None,
        document_id: None,
    };
    for (name, value) in pairs {
        match name.as_str() {
            "query" => raw.query = Some(value),
            "operationName" => raw.operation_name = Some(value).filter(|name| !name.is_empty()),
            "variables" if !value.is_empty() => {
                raw.variables = match serde_json::from_str(&value) {
                    Ok(ConstValue::Null) => Variables::default(),
                    Ok(object @ ConstValue::Object(_)) => Variables::from_value(object),
                    _ => return Err(bad("\"variables\" must be a JSON object.")),
                };
            }
            "extensions" if !value.is_empty() => {
                raw.extensions =
                    serde_json::from_str(&value).map_err(|_| bad("\"extensions\" must be a JSON object."))?;
            }
            "documentId" => raw.document_id = Some(value),
            _ => {}
        }
    }
    complete(raw)
}

fn complete(raw: Raw) -> Result<Params, Fault> {
    let Raw {
        query,
        operation_name,
        variables,
        extensions,
        document_id,
    } = raw;
    match query {
        Some(query) if !query.is_empty() => Ok(Params {
            query,
            operation_name,
            variables,
        }),
        // The name of the old protocol: its clients look for exactly this and then send the document itself.
        _ if document_id.is_some() || extensions.is_some_and(|all| all.contains_key("persistedQuery")) => Err(
            Fault::new(Code::PersistedQueryNotSupported, "PersistedQueryNotSupported"),
        ),
        _ => Err(bad("\"query\" is missing: it must hold a GraphQL document.")),
    }
}
