//! Every channel against a provider that fails on request: the outcome of each attempt, and the bytes sent.

mod email;
mod email_failures;
mod email_text;
mod encryption;
mod hostile_servers;
mod logs;
mod sms;

use std::time::Duration;

use chrono::{DateTime, Utc};
use clientele::delivery::settings::{EmailSettings, NotificationSettings, SmsSettings};
use clientele::enums::{Channel, Provider, Reason};
use clientele::{
    delivery::channel::{Channels, Failure, Outcome, Outgoing},
    notify::Content,
};

/// The timeout of hanging attempts, far longer than any answer takes.
const SHORT: Duration = Duration::from_millis(400);

fn now() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().expect("a time")
}

fn channels(email: EmailSettings, sms: SmsSettings) -> Channels {
    let settings = NotificationSettings {
        email,
        sms,
        ..NotificationSettings::default()
    };
    Channels::new(&settings).expect("usable settings")
}

fn by_email(settings: EmailSettings) -> Channels {
    channels(settings, SmsSettings::default())
}

fn by_sms(settings: SmsSettings) -> Channels {
    channels(EmailSettings::default(), settings)
}

fn outgoing(recipient: &str) -> Outgoing {
    Outgoing {
        key: "0193a5c0-17".into(),
        resent_at: None,
        recipient: recipient.into(),
        content: Content {
            subject: "Welcome".into(),
            text: "Dear Ines".into(),
            html: None,
        },
    }
}

async fn email(channels: &Channels) -> Outcome {
    email_to(channels, "ines@example.test").await
}

async fn email_to(channels: &Channels, recipient: &str) -> Outcome {
    channels
        .send(Channel::Email, Provider::Primary, &outgoing(recipient), now())
        .await
}

async fn sms_to(channels: &Channels, recipient: &str) -> Outcome {
    channels
        .send(Channel::Sms, Provider::Primary, &outgoing(recipient), now())
        .await
}

fn sent(provider_id: &str) -> Outcome {
    Outcome::Sent {
        provider_id: Some(provider_id.into()),
    }
}

fn failure(reason: Reason, detail: &str) -> Failure {
    Failure {
        reason,
        detail: Some(detail.into()),
    }
}

/// The provider is well; this message has to wait.
fn deferred(reason: Reason, detail: &str) -> Outcome {
    Outcome::Deferred {
        failure: failure(reason, detail),
        after: None,
        provider_down: false,
    }
}

/// The provider isn't well.
fn down(reason: Reason, detail: &str) -> Outcome {
    Outcome::Deferred {
        failure: failure(reason, detail),
        after: None,
        provider_down: true,
    }
}

fn refused(reason: Reason, detail: &str) -> Outcome {
    Outcome::Refused(failure(reason, detail))
}

fn unusable(reason: Reason, detail: &str) -> Outcome {
    Outcome::Unusable(failure(reason, detail))
}
