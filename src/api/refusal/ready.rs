//! A refusal that is written beforehand, in all forms: whoever is refused because there is too much to do must cost
//! next to nothing.

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use futures_util::FutureExt;

use super::{Asked, ErrorReport, Form, Refusal, RequestId};

/// Stands where the id of the request will.
const PLACEHOLDER: &str = "00000000-0000-7000-8000-000000000000";

#[derive(Debug)]
pub struct Ready(Vec<(Form, Template)>);

#[derive(Debug)]
struct Template {
    status: StatusCode,
    headers: HeaderMap,
    /// What stands before the request's id, and behind it; the whole without one.
    body: (Bytes, Option<Bytes>),
    report: ErrorReport,
}

impl Ready {
    /// With what the layers outside add to every answer: `headers`, and the request's id.
    pub fn new(refusal: Refusal, headers: impl Fn(&mut HeaderMap)) -> Self {
        let template = |form| {
            let id = RequestId(PLACEHOLDER.into());
            let asked = Asked { form, id };
            let mut response = asked.refused(refusal);
            headers(response.headers_mut());
            // Makes room for the one that will stand there.
            asked.id.write(&mut response);
            (form, Template::of(response))
        };
        Self(Form::ALL.map(template).into())
    }

    /// The refusal of this request, and its report for the metrics; none in a form that there isn't.
    pub fn answer(&self, asked: &Asked) -> Option<(Response, &ErrorReport)> {
        let (_, template) = self.0.iter().find(|(form, _)| *form == asked.form)?;
        let mut response = Response::new(template.body(&asked.id));
        *response.status_mut() = template.status;
        *response.headers_mut() = template.headers.clone();
        asked.id.write(&mut response);
        Some((response, &template.report))
    }
}

impl Template {
    fn of(response: Response) -> Self {
        let (mut parts, body) = response.into_parts();
        // It is there as a whole.
        let body = to_bytes(body, usize::MAX).now_or_never().and_then(Result::ok);
        let body = body.unwrap_or_default();
        let place = body
            .windows(PLACEHOLDER.len())
            .position(|window| window == PLACEHOLDER.as_bytes());
        let body = match place {
            Some(place) => (body.slice(..place), Some(body.slice(place + PLACEHOLDER.len()..))),
            None => (body, None),
        };
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
            report: parts.extensions.remove().unwrap_or_default(),
        }
    }

    fn body(&self, RequestId(id): &RequestId) -> Body {
        match &self.body {
            (whole, None) => Body::from(whole.clone()),
            (before, Some(behind)) => Body::from([before, id.as_bytes(), behind].concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::to_bytes,
        http::{HeaderMap, HeaderValue, Request, Response, header::VIA},
        response::Response as Answer,
    };

    use super::{Asked, Ready, Refusal};

    async fn read(answer: Answer) -> Response<Vec<u8>> {
        let (parts, body) = answer.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        Response::from_parts(parts, bytes.into())
    }

    #[tokio::test]
    async fn what_is_written_beforehand_is_what_would_be_written_now() {
        let add = |headers: &mut HeaderMap| {
            headers.insert(VIA, HeaderValue::from_static("all"));
        };
        let ready = Ready::new(Refusal::Overloaded, add);
        for (path, accept) in [
            ("/graphql", None),
            ("/graphql", Some("application/graphql-response+json")),
            ("/graphql", Some("text/html")),
            ("/api/clients", None),
            ("/playground", Some("*/*")),
        ] {
            let mut request = Request::get(path);
            if let Some(accept) = accept {
                request = request.header("accept", accept);
            }
            let asked = Asked::by(&request.body(()).expect("a request"));
            let mut now = asked.refused(Refusal::Overloaded);
            add(now.headers_mut());
            asked.id.write(&mut now);
            let (ready, report) = ready.answer(&asked).expect("a form");
            assert_eq!(now.extensions().get(), Some(report), "{path} {accept:?}");
            let (now, ready) = (read(now).await, read(ready).await);
            assert_eq!(
                (ready.status(), ready.headers(), ready.body()),
                (now.status(), now.headers(), now.body()),
                "{path} {accept:?}"
            );
        }
    }
}
