//! Refusals: responses of the server in place of those of the application. They have the form of the application.

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request, StatusCode, header::RETRY_AFTER},
    response::Response,
};
use futures_util::FutureExt;

use crate::{
    application::{Application, Refusal},
    report::ErrorReport,
    request_id::RequestId,
};

/// The placeholder for the id of the request in a prepared refusal.
const PLACEHOLDER: &str = "00000000-0000-7000-8000-000000000000";

/// Refuses a request in the form that the application has for it.
pub fn refuse<A: Application, B>(request: &Request<B>, refusal: Refusal) -> Response {
    Refusable::<A>::of(request).refuse(refusal)
}

/// The parts of a request that are needed to refuse it after it has been passed on.
pub struct Refusable<A: Application> {
    pub form: A::Form,
    pub id: RequestId,
}

impl<A: Application> Refusable<A> {
    pub fn of<B>(request: &Request<B>) -> Self {
        Self {
            form: A::form(request.uri().path(), request.headers()),
            id: RequestId::of(request),
        }
    }

    pub fn refuse(&self, refusal: Refusal) -> Response {
        let mut response = A::refusal(self.form, refusal, &self.id);
        if let Some(seconds) = refusal.retry_after_seconds() {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        refusal.report().add_to(&mut response);
        response
    }
}

/// A refusal that is written beforehand in all forms, because refusals of an overloaded server must cost little.
#[derive(Debug)]
pub struct PreparedRefusal<A: Application>(Vec<(A::Form, Template)>);

#[derive(Debug)]
struct Template {
    status: StatusCode,
    headers: HeaderMap,
    /// The parts of the body before and after the request's id; the whole body when it holds no id.
    body: (Bytes, Option<Bytes>),
    report: ErrorReport,
}

impl<A: Application> PreparedRefusal<A> {
    /// `headers` adds the headers that the outer layers add to every response.
    pub fn new(refusal: Refusal, headers: impl Fn(&mut HeaderMap)) -> Self {
        let template = |form| {
            let id = RequestId(PLACEHOLDER.into());
            let request = Refusable::<A> { form, id };
            let mut response = request.refuse(refusal);
            headers(response.headers_mut());
            // Reserves the header that `refuse` replaces.
            request.id.write(&mut response);
            (form, Template::of(response))
        };
        Self(A::FORMS.iter().copied().map(template).collect())
    }

    /// The response to this request and its report for the metrics. None when its form is missing in
    /// [`Application::FORMS`].
    pub fn refuse(&self, request: &Refusable<A>) -> Option<(Response, &ErrorReport)> {
        let (_, template) = self.0.iter().find(|(form, _)| *form == request.form)?;
        let mut response = Response::new(template.body(&request.id));
        *response.status_mut() = template.status;
        *response.headers_mut() = template.headers.clone();
        request.id.write(&mut response);
        Some((response, &template.report))
    }
}

impl Template {
    fn of(response: Response) -> Self {
        let (mut parts, body) = response.into_parts();
        // The body is complete, so that nothing has to be awaited.
        let body = to_bytes(body, usize::MAX).now_or_never().and_then(Result::ok);
        let body = body.unwrap_or_default();
        let id = body
            .windows(PLACEHOLDER.len())
            .position(|window| window == PLACEHOLDER.as_bytes());
        let body = match id {
            Some(start) => (body.slice(..start), Some(body.slice(start + PLACEHOLDER.len()..))),
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
            (before, Some(after)) => Body::from([before, id.as_bytes(), after].concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::to_bytes,
        http::{HeaderMap, HeaderValue, Request, header::VIA},
        response::{IntoResponse, Response},
    };

    use super::{Application, ErrorReport, PreparedRefusal, Refusable, Refusal, RequestId};

    /// Refuses with the request's id below `/id`, and without elsewhere.
    #[derive(Clone, Debug)]
    struct Ids;

    impl Application for Ids {
        type Form = bool;

        const FORMS: &'static [bool] = &[true, false];

        fn form(path: &str, _headers: &HeaderMap) -> bool {
            path == "/id"
        }

        fn refusal(has_id: bool, refusal: Refusal, RequestId(id): &RequestId) -> Response {
            let text = if has_id {
                format!("<{id}>")
            } else {
                "refused".to_owned()
            };
            let mut response = (refusal.status(), text).into_response();
            let codes = vec![if has_id { "ID" } else { "NONE" }];
            ErrorReport {
                codes,
                ..ErrorReport::default()
            }
            .add_to(&mut response);
            response
        }
    }

    #[tokio::test]
    async fn prepared_refusal_equals_one_written_now() {
        let add = |headers: &mut HeaderMap| {
            headers.insert(VIA, HeaderValue::from_static("all"));
        };
        let prepared = PreparedRefusal::<Ids>::new(Refusal::Overload, add);
        for path in ["/id", "/other"] {
            let request = Request::get(path).body(()).expect("a request");
            let request = Refusable::<Ids>::of(&request);
            let mut now = request.refuse(Refusal::Overload);
            add(now.headers_mut());
            request.id.write(&mut now);
            let (prepared, report) = prepared.refuse(&request).expect("a form");
            assert_eq!(now.extensions().get(), Some(report), "{path}");
            let mut bodies = Vec::new();
            assert_eq!(
                (prepared.status(), prepared.headers()),
                (now.status(), now.headers()),
                "{path}"
            );
            for response in [prepared, now] {
                bodies.push(to_bytes(response.into_body(), usize::MAX).await.expect("a body"));
            }
            assert_eq!(bodies[0], bodies[1], "{path}");
        }
    }
}
