//! `clientele openapi`: prints the description of the legacy REST API.

use clap::Args;

use super::{Failure, print};
use crate::api::rest::openapi;

#[derive(Debug, Args)]
pub(super) struct Form {
    /// Print it as a page to read, in one HTML file that needs no other.
    #[arg(long)]
    html: bool,
}

pub(super) fn run(form: &Form) -> Result<(), Failure> {
    print(match form.html {
        true => openapi::page(),
        false => openapi::document(),
    })
}
