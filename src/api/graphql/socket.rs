//! A WebSocket as clientele knows it, until its caller has signed in.

use std::{collections::BTreeMap, pin::Pin};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
};
use graphql_server::{Code, GraphqlError, RequestContext, SocketContext};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::request::{GraphqlRequest, Shared, sign_in_error};
use crate::api::authentication::Unauthenticated;

/// The headers with credentials, as members of the payload of `connection_init`.
const CREDENTIALS: [&str; 2] = ["authorization", "apikey"];

/// A socket that has been opened.
pub struct Socket {
    context: GraphqlRequest,
    /// Present if the request to open it had no credentials, as that of a browser.
    unauthenticated: Option<Unauthenticated>,
}

impl Socket {
    pub fn of(request: &Request, shared: Shared) -> Self {
        Self {
            context: GraphqlRequest::of_socket(request, shared),
            unauthenticated: request.extensions().get().cloned(),
        }
    }
}

impl SocketContext for Socket {
    type Context = GraphqlRequest;

    async fn connect(self, payload: Option<Box<RawValue>>) -> Result<GraphqlRequest, GraphqlError> {
        let Some(unauthenticated) = self.unauthenticated else {
            return Ok(self.context);
        };
        let headers = headers(payload.as_deref())?;
        match unauthenticated.sign_in(headers).await {
            Ok((caller, access)) => Ok(self.context.signed_in(caller, access)),
            Err(error) => Err(sign_in_error(&error)),
        }
    }

    fn is_trusted_origin(&self) -> bool {
        self.context.is_trusted_origin()
    }

    fn request_id(&self) -> &str {
        self.context.request_id()
    }

    fn stopping(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.context.stopping()
    }
}

/// A payload, which can have the headers as members or below `headers`. Others are ignored.
#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    headers: Option<Box<RawValue>>,
}

/// The credentials in a payload, as headers.
fn headers(payload: Option<&RawValue>) -> Result<HeaderMap, GraphqlError> {
    let invalid = || {
        let message = "The payload of connection_init must be an object with the members of HTTP headers, such as \
                       \"authorization\": \"Bearer …\".";
        GraphqlError::new(Code::BadRequest, message)
    };
    let mut headers = HeaderMap::new();
    let Some(payload) = payload else { return Ok(headers) };
    add(&mut headers, payload).ok_or_else(invalid)?;
    let below: Payload = serde_json::from_str(payload.get()).map_err(|_| invalid())?;
    if let Some(below) = below.headers {
        add(&mut headers, &below).ok_or_else(invalid)?;
    }
    Ok(headers)
}

fn add(headers: &mut HeaderMap, object: &RawValue) -> Option<()> {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(object.get()).ok()?;
    for (name, value) in members {
        let Some(name) = CREDENTIALS.into_iter().find(|known| name.eq_ignore_ascii_case(known)) else {
            continue;
        };
        let text: String = serde_json::from_str(value.get()).ok()?;
        headers.append(HeaderName::from_static(name), HeaderValue::try_from(text).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::headers;

    #[test]
    fn credentials_are_read_from_the_payload() {
        for (payload, expected) in [
            ("{}", Some(vec![])),
            (
                r#"{"authorization":"Bearer a"}"#,
                Some(vec![("authorization", "Bearer a")]),
            ),
            (
                r#"{"Authorization":"Bearer a","x":[1]}"#,
                Some(vec![("authorization", "Bearer a")]),
            ),
            (r#"{"apiKey":"a"}"#, Some(vec![("apikey", "a")])),
            (
                r#"{"headers":{"Authorization":"Bearer a"}}"#,
                Some(vec![("authorization", "Bearer a")]),
            ),
            (r#"{"headers":{}}"#, Some(vec![])),
            (r#"{"headers":1}"#, None),
            (r#"{"authorization":1}"#, None),
            (r#"{"authorization":"a\nb"}"#, None),
            ("[]", None),
            ("1", None),
        ] {
            let raw = RawValue::from_string(payload.to_owned()).expect("JSON");
            let read = headers(Some(&raw)).ok();
            let read = read.as_ref().map(|headers| {
                let pairs = headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.to_str().expect("a text")));
                pairs.collect::<Vec<_>>()
            });
            assert_eq!(read, expected, "{payload}");
        }
        assert_eq!(headers(None).expect("nothing is fine").len(), 0);
    }
}
