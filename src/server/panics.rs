//! A panic is a defect of ours. Its caller gets an answer, the server goes on, and the log says where it was, but not
//! what its message says: that may hold anything a request or the database brought.

use std::panic::{self, AssertUnwindSafe};

use axum::{extract::Request, middleware::Next, response::Response};
use futures_util::FutureExt;

use crate::api::refusal::{Asked, Refusal};

/// From now on panics leave one line with their place. For the whole process.
pub fn log_without_messages() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| (place.file(), place.line()));
        let (file, line) = place.unwrap_or_default();
        // Where sources lie on the machine that compiled them is nobody's business.
        let file = file.rsplit_once("/src/").map_or(file, |(_, file)| file);
        tracing::error!(file, line, "a panic: this is a defect of the program");
    }));
}

/// Answers 500 in the place of whatever has panicked.
pub async fn answer(request: Request, next: Next) -> Response {
    let asked = Asked::by(&request);
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        // The request's line in the log says so.
        Err(_) => asked.refused(Refusal::Broken),
    }
}
