//! Converts a mail server's reply, or its absence, into an outcome for the message and for the channel.

use std::error::Error as _;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::Response;

use super::super::{Failure, Outcome, cleaned, is_tls, root_cause};
use clientele_domain::enums::Reason;

/// The stage of an SMTP conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Up to the reply to EHLO.
    Greeting,
    /// From STARTTLS to the second EHLO.
    Encryption,
    Authentication,
    /// From this stage on, replies concern a message.
    Sender,
    Recipient,
    Message,
}

/// Returns the reply when it is the expected one; any 2xx counts as 250. Otherwise returns the outcome, and true if the
/// conversation can continue with another message.
pub(super) fn checked(
    stage: Stage,
    expected: u16,
    answer: Result<Response, Error>,
) -> Result<Response, (Outcome, bool)> {
    match answer {
        Ok(response) if u16::from(response.code()) / 100 == expected / 100 => Ok(response),
        // An unexpected reply means that the two sides are out of step.
        Ok(response) => {
            let detail = format!("an answer out of turn: {}", response.code());
            Err((provider_down(Reason::ProviderError, Some(detail)), false))
        }
        Err(error) => {
            let code = error.status().map(u16::from);
            Err((outcome(stage, &error), code.is_some_and(|code| code != 421)))
        }
    }
}

pub(super) fn outcome(stage: Stage, error: &Error) -> Outcome {
    let Some(code) = error.status().map(u16::from) else {
        return without_reply(stage, error);
    };
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    let detail = cleaned(&format!("{code} {text}"));
    let failure = |reason| Failure {
        reason,
        detail: detail.clone(),
    };
    let about_message = matches!(stage, Stage::Sender | Stage::Recipient | Stage::Message);
    match code {
        530 | 534 | 535 | 538 => Outcome::Unusable(failure(Reason::Credentials)),
        _ if stage == Stage::Encryption => provider_down(Reason::Tls, detail),
        421 => provider_down(Reason::Deferred, detail),
        // A full mailbox or a greylist says nothing about the next message.
        400..=499 => failure(Reason::Deferred).deferred(!matches!(stage, Stage::Recipient | Stage::Message)),
        _ if about_message => Outcome::Refused(failure(Reason::Refused)),
        _ if stage == Stage::Authentication => Outcome::Unusable(failure(Reason::Credentials)),
        // A server that refuses the connection hasn't seen the message, so the message isn't given up.
        _ => Outcome::Unusable(failure(Reason::Refused)),
    }
}

fn without_reply(stage: Stage, error: &Error) -> Outcome {
    let detail = root_cause(error);
    let reason = if error.is_timeout() {
        Reason::Timeout
    } else if stage == Stage::Encryption || is_tls(error) {
        Reason::Tls
    } else if stage == Stage::Authentication && error.is_client() {
        // The server supports no authentication mechanism that the client supports.
        return Outcome::Unusable(Failure {
            reason: Reason::Credentials,
            detail,
        });
    } else {
        Reason::Connection
    };
    provider_down(reason, detail)
}

pub(super) fn timeout(limit: Duration) -> Outcome {
    provider_down(
        Reason::Timeout,
        Some(format!("no answer within {} s", limit.as_secs_f32())),
    )
}

pub(super) fn provider_down(reason: Reason, detail: Option<String>) -> Outcome {
    Failure { reason, detail }.deferred(true)
}
