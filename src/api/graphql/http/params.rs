//! The parameters of a GraphQL request, from a JSON body or a query string. What is wrong with them is said in a sentence.

use async_graphql::{Value as ConstValue, Variables};
use axum::{extract::Query, http::Uri};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::graphql::{
    error::{Code, Fault},
    persisted::Asked,
};

#[derive(Debug, PartialEq)]
pub(super) struct Params {
    pub asked: Asked,
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
    /// What Relay's clients call it.
    #[serde(default, rename = "doc_id")]
    doc_id: Option<String>,
}

fn bad(message: &'static str) -> Fault {
    Fault::new(Code::BadRequest, message)
}

/// The requests of a body that holds several.
pub(super) fn of_batch(body: &[u8]) -> Result<Vec<&RawValue>, Fault> {
    serde_json::from_slice(body).map_err(|_| explain(body))
}

pub(super) fn is_batch(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'[')
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
    } else if wrong("documentId", Value::is_string) || wrong("doc_id", Value::is_string) {
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
        doc_id: None,
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
            "doc_id" => raw.doc_id = Some(value),
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
        doc_id,
    } = raw;
    let query = query.filter(|query| !query.is_empty());
    let hash = match extensions.as_ref().and_then(|all| all.get("persistedQuery")) {
        Some(persisted) => Some(hash(persisted)?),
        None => None,
    };
    let asked = match (query, document_id.or(doc_id), hash) {
        (Some(text), None, None) => Asked::Text(text),
        (None, Some(id), None) => Asked::Id(id),
        (text, None, Some(hash)) => Asked::Hash { hash, text },
        (None, None, None) => return Err(bad("\"query\" is missing: it must hold a GraphQL document.")),
        _ => {
            return Err(bad(
                "\"documentId\" names the whole document: send nothing else beside it.",
            ));
        }
    };
    Ok(Params {
        asked,
        operation_name,
        variables,
    })
}

fn hash(persisted: &serde_json::Value) -> Result<String, Fault> {
    if persisted["version"] != 1 {
        return Err(bad("\"persistedQuery\" must be of version 1."));
    }
    let hash = persisted["sha256Hash"].as_str().filter(|hash| hash.len() <= 64);
    hash.map(str::to_owned)
        .ok_or_else(|| bad("\"sha256Hash\" must be 64 hexadecimal digits."))
}
