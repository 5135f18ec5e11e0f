//! Answers requests whose handler panicked. The log has the place of the panic but not its message, which may hold data
//! of requests.

use std::panic::{self, AssertUnwindSafe};

use axum::{extract::Request, middleware::Next, response::Response};
use futures_util::FutureExt;

use crate::{application::Application, refusal::Refusal, refuse::Refusable};

/// Sets the panic hook of the process: a panic is logged as one event with its place.
pub fn log_without_messages() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| (place.file(), place.line()));
        let (file, line) = place.unwrap_or_default();
        // The folders of the machine that compiled the program stay out of the log.
        let file = file.rsplit_once("/src/").map_or(file, |(_, file)| file);
        tracing::error!(file, line, "a panic: this is a defect of the program");
    }));
}

/// Answers 500 in place of an application that panicked.
pub async fn answer<A: Application>(request: Request, next: Next) -> Response {
    let refusable = Refusable::<A>::of(&request);
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        // The request's line in the log says so.
        Err(_) => refusable.refuse(Refusal::Panic),
    }
}
