//! Checks of other services and of the own ports.

use std::sync::Arc;

use reqwest::redirect::Policy;

use super::super::{listening, notify};
use super::limit::SHORT_PATIENCE;
use super::{Checked, finding::Finding, link};
use crate::api::authentication::Guard;
use crate::telemetry;
use clientele_core::network::ListenAddress;
use clientele_delivery::channel::Channels;
use clientele_delivery::settings::{
    EmailProviderSettings, EmailTransport, NotificationSettings, SmsProviderSettings, SmsTransport,
};
use clientele_domain::enums::{Channel, Provider};

/// Fetches the issuer's keys as the server does.
pub(super) async fn issuer(checked: Arc<Checked>) -> Vec<Finding> {
    let (check, link) = ("issuer", link::ISSUER);
    let guard = match Guard::new(checked.config.authentication.clone()) {
        Ok(guard) => guard,
        Err(reason) => return vec![Finding::problem(check, link, reason, "Correct the setting.")],
    };
    let section = "authentication.jwt";
    vec![match guard.issuer_keys().await {
        None => {
            let found = format!("{section}.issuer isn't set: tokens of an issuer are refused.");
            Finding::skipped(check, link, found)
        }
        Some(Ok(_)) if checked.config.authentication.jwt.jwks_url.is_empty() => {
            Finding::ok(check, link, format!("{section}.key can verify tokens."))
        }
        Some(Ok(0)) => Finding::problem(
            check,
            link,
            "the issuer publishes no key for the accepted algorithms.",
            format!("Add the algorithm of its keys to {section}.algorithms, or correct {section}.jwks_url."),
        ),
        Some(Ok(1)) => Finding::ok(check, link, "the issuer publishes 1 key that can verify tokens."),
        Some(Ok(keys)) => {
            let found = format!("the issuer publishes {keys} keys that can verify tokens.");
            Finding::ok(check, link, found)
        }
        Some(Err(reason)) => Finding::problem(
            check,
            link,
            format!("the issuer's keys can't be fetched: {reason}."),
            format!("Check {section}.jwks_url, the issuer, and proxies and firewalls in between."),
        ),
    }]
}

/// Signs in at the mail server. Sends no message.
pub(super) async fn email(checked: Arc<Checked>) -> Vec<Finding> {
    vec![provider(&checked, Channel::Email, Provider::Primary, "email").await]
}

/// Reaches the SMS gateway's host. Sends no message and no credentials.
pub(super) async fn sms(checked: Arc<Checked>) -> Vec<Finding> {
    vec![provider(&checked, Channel::Sms, Provider::Primary, "sms").await]
}

/// The same for the second mail server, if there is one.
pub(super) async fn email_fallback(checked: Arc<Checked>) -> Vec<Finding> {
    match checked.config.notifications.email.fallback() {
        Some(_) => vec![provider(&checked, Channel::Email, Provider::Fallback, "email_fallback").await],
        None => Vec::new(),
    }
}

/// The same for the second gateway, if there is one.
pub(super) async fn sms_fallback(checked: Arc<Checked>) -> Vec<Finding> {
    match checked.config.notifications.sms.fallback() {
        Some(_) => vec![provider(&checked, Channel::Sms, Provider::Fallback, "sms_fallback").await],
        None => Vec::new(),
    }
}

/// Sends empty exports to the collector.
pub(super) async fn collector(checked: Arc<Checked>) -> Vec<Finding> {
    let (check, link) = ("telemetry", link::TELEMETRY);
    vec![
        match telemetry::probe(&checked.config.telemetry, SHORT_PATIENCE).await {
            None => {
                let found = "telemetry.otlp_endpoint isn't set: traces and logs aren't exported.";
                Finding::skipped(check, link, found)
            }
            Some(Ok(())) => Finding::ok(check, link, "the collector accepts exports."),
            Some(Err(reason)) => Finding::problem(
                check,
                link,
                format!("the collector doesn't accept exports: {reason}."),
                "Check telemetry.otlp_endpoint (the port for OTLP by HTTP, mostly 4318), telemetry.otlp_headers and \
                 the collector.",
            ),
        },
    ]
}

/// The settings without those of other providers, so that their problems are reported once.
fn alone(settings: &NotificationSettings, channel: Channel, provider: Provider) -> NotificationSettings {
    let mut settings = settings.clone();
    let (email, sms) = (&mut settings.email, &mut settings.sms);
    match channel {
        Channel::Email => sms.transport = SmsTransport::Log,
        Channel::Sms => email.transport = EmailTransport::Log,
    }
    match provider {
        Provider::Primary => {
            email.fallback = EmailProviderSettings::default();
            sms.fallback = SmsProviderSettings::default();
        }
        // A fallback needs a first provider, which isn't used here.
        Provider::Fallback => {
            email.ca_file = None;
            sms.ca_file = None;
        }
    }
    settings
}

async fn provider(checked: &Checked, channel: Channel, provider: Provider, check: &'static str) -> Finding {
    let link = link::SEND;
    let settings = alone(&checked.config.notifications, channel, provider);
    let channels = match Channels::new(&settings) {
        Ok(channels) => channels.with_timeout(SHORT_PATIENCE),
        Err(error) => return Finding::problem(check, link, error.to_string(), "Correct the setting."),
    };
    if !channels.sends(channel) {
        let found = format!("notifications.{check}.transport is \"log\": messages are only written to the log.");
        return Finding::skipped(check, link, found);
    }
    match channels.probe(channel, provider).await {
        Ok(()) => Finding::ok(
            check,
            link,
            match channel {
                Channel::Email => "the mail server accepts connections and the credentials.",
                Channel::Sms => "the gateway's host answers; the credentials weren't tried.",
            },
        ),
        Err(failure) => {
            let (reason, setting) = notify::explain(channel, provider, &failure);
            let to_do = match setting {
                Some(setting) => format!("Check {setting}."),
                None => "Try again later, or ask the provider.".to_owned(),
            };
            Finding::problem(check, link, format!("{reason}."), to_do)
        }
    }
}

/// Checks that a server can listen, or does.
pub(super) async fn port(checked: Arc<Checked>, check: &'static str, address: Option<ListenAddress>) -> Vec<Finding> {
    let link = link::START;
    let Some(address) = address else {
        let found = "notifications.worker_listen isn't set: a worker doesn't listen.";
        return vec![Finding::skipped(check, link, found)];
    };
    let to_do = "Stop the other program, or choose another address.";
    let resolved = match listening::resolve(&address).await {
        Ok(resolved) => resolved,
        Err(failure) => return vec![Finding::problem(check, link, failure.to_string(), to_do)],
    };
    vec![match listening::bind(resolved, "") {
        Ok(_) => Finding::ok(check, link, format!("{address} is free.")),
        // Its database isn't known here.
        Err(_) if is_served(&checked, resolved).await => Finding::warning(
            check,
            link,
            format!("a clientele listens on {address} already."),
            "If it isn't the server of this database, choose another address.",
        ),
        Err(failure) => Finding::problem(check, link, failure.to_string(), to_do),
    }]
}

/// Returns true if this program answers at an address of this machine.
async fn is_served(checked: &Checked, mut address: std::net::SocketAddr) -> bool {
    if address.ip().is_unspecified() {
        address.set_ip(match address.is_ipv4() {
            true => std::net::Ipv4Addr::LOCALHOST.into(),
            false => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The certificate is another check, and nothing secret is sent.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(SHORT_PATIENCE)
        .tls_danger_accept_invalid_certs(true)
        .build();
    let scheme = if checked.config.http.is_secure() {
        "https"
    } else {
        "http"
    };
    let answer = async {
        let answer = client?.get(format!("{scheme}://{address}/health/live")).send().await?;
        answer.text().await
    };
    answer.await.is_ok_and(|text| text == "live\n")
}
