//! Answers requests whose handler panicked. The log has the location of the panic but not its message, which may hold
//! data of requests. Written here because tower-http's `CatchPanicLayer` doesn't have the request, whose path decides
//! the form of the response.

use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
};

use axum::response::Response;
use futures_util::FutureExt;

use crate::{
    application::{Application, Refusal},
    refusal::Refusable,
};

/// Sets the panic hook of the process: a panic is logged as one event with its location.
pub fn log_without_messages() {
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(|location| (location.file(), location.line()));
        let (file, line) = location.unwrap_or_default();
        let file = within_project(file);
        tracing::error!(file, line, "a panic: this is a defect of the program");
    }));
}

/// The path of a file without the folders of the machine that compiled the program. Files of dependencies have absolute
/// paths, those of the program relative ones.
fn within_project(file: &str) -> &str {
    match Path::new(file).is_absolute() {
        true => file.rsplit_once("/src/").map_or(file, |(_, file)| file),
        false => file,
    }
}

/// Answers 500 in place of an application that panicked.
pub async fn caught<A: Application>(request: Refusable<A>, response: impl Future<Output = Response>) -> Response {
    match AssertUnwindSafe(response).catch_unwind().await {
        Ok(response) => response,
        // The log line of the request has the cause.
        Err(_) => request.refuse(Refusal::Panic),
    }
}

#[cfg(test)]
mod tests {
    use super::within_project;

    #[test]
    fn files_of_the_program_are_named_with_their_crate() {
        for (file, expected) in [
            ("crates/http-server/src/panics.rs", "crates/http-server/src/panics.rs"),
            ("src/cli/serve.rs", "src/cli/serve.rs"),
            (
                "/home/ana/.cargo/registry/src/index/serde-1.0.0/src/de/mod.rs",
                "de/mod.rs",
            ),
            ("/rustc/0123/library/core/src/option.rs", "option.rs"),
        ] {
            assert_eq!(within_project(file), expected);
        }
    }
}
