//! Answers in the place of a door that could not give one: the shell's limits and a panic. Each in the form its door's
//! callers read.

mod ready;

use axum::{
    http::{Request, StatusCode, header},
    response::{IntoResponse, Response},
};

pub use self::ready::Ready;
use super::{
    RequestId, graphql,
    report::{ErrorReport, LogCause, Reason},
    rest,
};
use clientele_core::error::sentence;
use graphql_server::{
    Code,
    http::{Media, media},
};

/// Why no door has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body has not come in time.
    Slow,
    /// The server has as much to do as it can.
    Overloaded,
    /// This caller asks for more than its share.
    TooMany {
        /// When it may ask again.
        retry_after_seconds: u64,
    },
    /// A defect of ours.
    Broken,
}

impl Refusal {
    const fn status(self) -> StatusCode {
        match self {
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// For whoever reads the answer.
    const fn sentence(self) -> &'static str {
        match self {
            Self::Slow => "The body took too long to arrive.",
            Self::Overloaded => sentence::BUSY,
            Self::TooMany { .. } => "This caller sends requests too fast. Retry-After says when to send the next one.",
            Self::Broken => sentence::INTERNAL,
        }
    }

    /// The same as a page of text.
    fn text(self, id: &RequestId) -> String {
        match self {
            Self::Broken => format!("{}\n{}\n", self.sentence(), id.0),
            Self::Slow | Self::Overloaded | Self::TooMany { .. } => format!("{}\n", self.sentence()),
        }
    }
}

/// What is kept of a request to answer it after it has been handed on.
#[derive(Clone, Debug)]
pub struct Asked {
    form: Form,
    id: RequestId,
}

/// What the caller reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Graphql(Media),
    Rest,
    Text,
}

impl Form {
    const ALL: [Self; 4] = [
        Self::Graphql(Media::Response),
        Self::Graphql(Media::Json),
        Self::Rest,
        Self::Text,
    ];
}

impl Asked {
    pub fn by<B>(request: &Request<B>) -> Self {
        let form = match request.uri().path() {
            "/graphql" | "/graphql/" => Form::Graphql(media(request.headers())),
            path if path == "/api" || path.starts_with("/api/") => Form::Rest,
            _ => Form::Text,
        };
        Self {
            form,
            id: RequestId::of(request),
        }
    }

    /// The API that the path belongs to, as the metrics name it.
    pub const fn api(&self) -> &'static str {
        match self.form {
            Form::Graphql(_) => "graphql",
            Form::Rest => "rest",
            Form::Text => "none",
        }
    }

    pub const fn request_id(&self) -> &RequestId {
        &self.id
    }

    pub fn refused(&self, refusal: Refusal) -> Response {
        let (status, id) = (refusal.status(), &self.id);
        let mut response = match self.form {
            Form::Graphql(media) => graphql::refused(media, status, refusal.code(), refusal.sentence(), id),
            Form::Rest => rest::refused(refusal, refusal.sentence(), id),
            Form::Text => (status, refusal.text(id)).into_response(),
        };
        let wait = match refusal {
            Refusal::Overloaded => Some(1),
            Refusal::TooMany { retry_after_seconds } => Some(retry_after_seconds),
            Refusal::Slow | Refusal::Broken => None,
        };
        if let Some(seconds) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        refusal.report().add_to(&mut response);
        response
    }
}

impl Refusal {
    /// What the log and the metrics record besides the code, which the answer's form decides.
    fn report(self) -> ErrorReport {
        let (refused, cause) = match self {
            Self::Slow => (Some(Reason::BodyTimeout), None),
            Self::Overloaded => (Some(Reason::Overload), Some(LogCause::new("overload"))),
            Self::TooMany { .. } => (Some(Reason::RateLimit), None),
            Self::Broken => (None, Some(LogCause::new("panic"))),
        };
        ErrorReport {
            codes: Vec::new(),
            cause,
            refused,
        }
    }

    const fn code(self) -> Code {
        match self {
            Self::Slow => Code::Timeout,
            Self::Overloaded => Code::Unavailable,
            Self::TooMany { .. } => Code::RateLimited,
            Self::Broken => Code::Internal,
        }
    }
}
