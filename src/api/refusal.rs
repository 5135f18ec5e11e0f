//! Connects the HTTP server with the APIs: the form of its refusals, the credentials that it recognises, and the
//! metrics.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use http_server::{Application, EndedRequest, Refusal, RequestId, RequestPermits, report};

use super::{authentication::credential_header, graphql, metrics::ApiMetrics, rest};
use clientele_core::error::sentence::{BUSY, INTERNAL};
use graphql_server::{
    Code,
    http::{Media, media},
};

/// The format of refusals that a caller reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Graphql(Media),
    Rest,
    Text,
}

impl Application for ApiMetrics {
    type Form = Form;

    const FORMS: &'static [Form] = &[
        Form::Graphql(Media::Response),
        Form::Graphql(Media::Json),
        Form::Rest,
        Form::Text,
    ];
    const OPERATION_ATTRIBUTES: [&'static str; 2] = ["graphql.operation.type", "graphql.operation.name"];

    fn form(path: &str, headers: &HeaderMap) -> Form {
        match path {
            "/graphql" | "/graphql/" => Form::Graphql(media(headers)),
            path if path == "/api" || path.starts_with("/api/") => Form::Rest,
            _ => Form::Text,
        }
    }

    fn refusal(form: Form, refusal: Refusal, id: &RequestId) -> Response {
        let (status, (code, sentence)) = (refusal.status(), wording(refusal));
        match form {
            Form::Graphql(media) => graphql::refused(media, status, code, sentence, id),
            Form::Rest => rest::refused(refusal, sentence, id),
            Form::Text if refusal == Refusal::Panic => (status, format!("{sentence}\n{}\n", id.0)).into_response(),
            Form::Text => (status, format!("{sentence}\n")).into_response(),
        }
    }

    fn credentials(headers: &HeaderMap) -> Option<(&HeaderName, &HeaderValue)> {
        credential_header(headers)
    }

    fn is_page(path: &str) -> bool {
        path.starts_with("/playground")
    }

    fn started(&self, requests: &RequestPermits) {
        self.watch(requests);
    }

    fn ended(&self, request: &EndedRequest<'_>) {
        self.request(request);
    }

    fn refused_early(&self, form: Form, report: &report::ErrorReport) {
        let api = match form {
            Form::Graphql(_) => "graphql",
            Form::Rest => "rest",
            Form::Text => "none",
        };
        Self::refused_early(self, api, report);
    }

    fn refused(&self, reason: report::Reason) {
        self.refused(reason);
    }
}

/// The code of the GraphQL API, and the sentence of all forms.
const fn wording(refusal: Refusal) -> (Code, &'static str) {
    match refusal {
        Refusal::BodyTimeout => (Code::Timeout, "The body took too long to arrive."),
        Refusal::Overload => (Code::Unavailable, BUSY),
        Refusal::RateLimit { .. } => {
            let sentence = "This caller sends requests too fast. Retry-After says when to send the next one.";
            (Code::RateLimited, sentence)
        }
        Refusal::Panic => (Code::Internal, INTERNAL),
    }
}

#[cfg(test)]
mod tests;
