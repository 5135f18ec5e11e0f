//! `clientele serve`: starts the server, serves and shuts down.

use std::io::{IsTerminal, stdout};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::listening::Signals;
use super::open_error::failure;
use super::store::{self, OpenMode};
use super::{Failure, audit, listening, print, service, worker};
use crate::api::authentication::{Authentication, Guard};
use crate::api::metrics::ApiMetrics;
use crate::api::playground::Playground;
use crate::api::{self, health, origin, unmatched};
use crate::config::{Config, LogFormat};
use crate::services::Services;
use crate::telemetry::Telemetry;
use crate::version;
use clientele_core::{error::Error, secret::Secret};
use clientele_domain::expiry;
use clientele_domain::{
    access::{Accounts, FIRST},
    caller::Caller,
};
use graphql_server::persisted::{Manifest, Persisted};
use graphql_server::settings::GraphqlSettings;

/// Starts the server, with the cheapest checks first, and serves until it is stopped.
pub(super) async fn serve(config: &Config, no_auth: bool, telemetry: &Telemetry) -> Result<(), Failure> {
    let listen = listening::resolve(&config.listen).await?;
    if no_auth && !listen.ip().is_loopback() {
        return Err(Failure::misconfigured(
            "--no-auth gives every caller all permissions: listen on a loopback address such as 127.0.0.1:8080",
        ));
    }
    let metrics = ApiMetrics::default();
    let server = listening::server(config, &metrics)?;
    let listener = listening::bind(listen, "; choose another address with --listen")?;
    let address = listener.local_addr().map_err(Failure::internal)?;
    let channels = worker::channels(config)?;
    let persisted = persisted(&config.graphql)?;
    let playground = Playground::load(&config.playground).map_err(Failure::misconfigured)?;
    // Installed before the server's own signal handlers, so that no signal is missed in between.
    let interrupted = listening::interrupted()?;
    let Signals { stop, close } = listening::stop_on_signal(Duration::from_secs(config.shutdown_delay_seconds))?;
    store::with_services_until_stopped(config, OpenMode::Create, interrupted, async |services| {
        audit::warn_of_missing_key(config);
        services.db.start_replicas();
        // Removes data whose retention has ended, even if this process doesn't send messages.
        let changes = services.changes.clone();
        let removal = expiry::keep_removing(services.db.clone(), changes, Arc::new(store::now), stop.clone());
        let removal = tokio::spawn(removal);
        let sending = config.notifications.worker;
        let worker =
            sending.then(|| worker::Background::start(services.messages.clone(), channels, config, stop.clone()));
        let authentication = match no_auth {
            true => Authentication::Off,
            false => {
                Authentication::Required(Guard::new(config.authentication.clone()).map_err(Failure::misconfigured)?)
            }
        };
        let issuer_keys = authentication.published_keys();
        let issuer_keys = issuer_keys.map(|keys| tokio::spawn(keys.clone().keep_fetching()));
        let sign_in = match no_auth {
            true => SignIn::Off,
            false => sign_in(&services.accounts, config).await?,
        };
        let has_editor = playground.is_built();
        let pages = playground.routes();
        let router = router(
            &services,
            config,
            authentication,
            persisted,
            metrics,
            pages,
            stop.clone(),
        );
        announce(
            config,
            &format!("{}://{address}", server.scheme()),
            &sign_in,
            has_editor,
        )?;
        let ending = stop.clone();
        service::report_ready(stop);
        let patience = Duration::from_secs(config.shutdown_timeout_seconds);
        let closing = async {
            listening::stopped(close).await;
            telemetry.closing();
        };
        server
            .with_ending(ending)
            .serve(listener, router, closing, patience)
            .await;
        if let Some(worker) = worker {
            worker.ended().await;
        }
        if let Some(issuer_keys) = issuer_keys
            && has_panicked(issuer_keys).await
        {
            tracing::error!("keys of the issuer were no longer fetched: that part of the server has panicked");
        }
        // The transaction of an unfinished removal is rolled back.
        if has_panicked(removal).await {
            tracing::error!("expired data was no longer removed: that part of the server has panicked");
        }
        Ok(())
    })
    .await
}

/// Ends a task. Returns true when it had panicked before.
async fn has_panicked(task: JoinHandle<()>) -> bool {
    task.abort();
    task.await.is_err_and(|end| end.is_panic())
}

/// All routes: both APIs, the playground, health checks and metrics.
fn router(
    services: &Services,
    config: &Config,
    authentication: Authentication,
    persisted: Persisted,
    metrics: ApiMetrics,
    playground: Router,
    stop: watch::Receiver<bool>,
) -> Router {
    let open = matches!(authentication, Authentication::Off);
    let router = Router::new()
        .merge(health::routes(
            store::ping(services.db.clone()),
            authentication.finding(),
            stop.clone(),
        ))
        .merge(playground)
        .merge(api::router(
            services,
            api::Settings {
                answers: config.answers.clone(),
                graphql: config.graphql.clone(),
                persisted,
                cors: config.cors.clone(),
                metrics,
                legacy: config.legacy.clone(),
                authentication,
                rate_limit: config.rate_limit.clone(),
                stop: Some(stop),
            },
        ));
    let router = unmatched::answer(router, unmatched::NO_PATH);
    // Without authentication, the Host header is checked: another site's page must not reach the server through DNS
    // rebinding.
    match open {
        true => router.layer(axum::middleware::from_fn(origin::only_local)),
        false => router,
    }
}

/// The trusted documents. An invalid manifest would cause every request to be refused, so it stops the start.
pub(super) fn persisted(settings: &GraphqlSettings) -> Result<Persisted, Failure> {
    let persisted = Persisted::automatic(settings.persisted_query_bytes);
    match &settings.trusted_documents_file {
        Some(file) => {
            let manifest = Manifest::load(file).map_err(Failure::misconfigured)?;
            Ok(persisted.trusting(manifest, settings.trusted_documents))
        }
        None => Ok(persisted),
    }
}

/// The way to sign in, for the greeting.
enum SignIn {
    /// Authentication is off.
    Off,
    Users,
    /// The first user was just created. The password is there only if it can be shown.
    FirstUser(Option<Secret>),
}

impl SignIn {
    /// The password is shown only on a terminal: other output is collected, for example by a service manager, and stays
    /// readable for others.
    fn of(first: Option<Secret>, on_terminal: bool) -> Self {
        first.map_or(Self::Users, |password| Self::FirstUser(on_terminal.then_some(password)))
    }
}

async fn sign_in(accounts: &Accounts, config: &Config) -> Result<SignIn, Failure> {
    let made = accounts.make_first_user(&Caller::operator(), store::now()).await;
    let first = match made {
        Ok(first) => first,
        Err(error @ Error::ReadOnly) => return Err(failure("store the first user in", config, &error).await),
        Err(error) => return Err(Failure::new(format!("can't look up users: {}", error.kind()))),
    };
    Ok(SignIn::of(
        first,
        stdout().is_terminal() && config.log.format == LogFormat::Text,
    ))
}

/// Announces that the server accepts requests: to a person on standard output, or to machines as one log event.
fn announce(config: &Config, server: &str, sign_in: &SignIn, has_editor: bool) -> Result<(), Failure> {
    if config.log.format == LogFormat::Text {
        return print(&greeting(server, sign_in, has_editor));
    }
    match sign_in {
        SignIn::Off => tracing::warn!("authentication is off: every program on this machine has all permissions"),
        SignIn::Users | SignIn::FirstUser(Some(_)) => {}
        SignIn::FirstUser(None) => {
            tracing::warn!(
                user = FIRST,
                "the first user has no password yet: run `clientele user password {FIRST}`"
            );
        }
    }
    tracing::info!(
        version = version::NUMBER,
        commit = version::COMMIT,
        address = server,
        database = store::kind(config),
        "listening"
    );
    Ok(())
}

/// The request in the greeting.
const EXAMPLE: &str = concat!(
    r#"{"query":"mutation { upsertClient(input: { client: { firstName: \"Ines\", lastName: \"Okafor\" } }) "#,
    r#"{ client { clientId fullName } userErrors { message } } }"}"#,
);

/// Programs wait for the last line: requests are accepted from then on.
fn greeting(server: &str, sign_in: &SignIn, has_editor: bool) -> String {
    let editor = match has_editor {
        true => "",
        false => "  (not built: the page says how to)",
    };
    let (users, credentials) = match sign_in {
        SignIn::Off => (
            "not required: every program on this machine has all permissions\n".to_owned(),
            String::new(),
        ),
        SignIn::Users => (
            format!("{FIRST}, or another user (clientele user list)\n"),
            format!(" -u {FIRST}"),
        ),
        SignIn::FirstUser(Some(password)) => (
            format!(
                "{FIRST} with the password {password}\n            (shown this once; another one: clientele user \
                 password {FIRST})\n",
                password = password.reveal()
            ),
            format!(" -u {FIRST}:{}", password.reveal()),
        ),
        SignIn::FirstUser(None) => (
            format!(
                "{FIRST}, after you have set the password: clientele user password {FIRST}\n            \
                 (a generated password is shown on a terminal only)\n"
            ),
            format!(" -u {FIRST}"),
        ),
    };
    format!(
        "GraphQL     {server}/graphql\n\
         playground  {server}/playground{editor}\n\
         legacy      {server}/api/clients (described at /api/docs)\n\
         sign in     {users}\n\
         try:\n\
         curl{credentials} {server}/graphql -H 'content-type: application/json' -d '{EXAMPLE}'\n\n\
         listening on {server}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{SignIn, greeting};
    use clientele_core::secret::Secret;

    #[test]
    fn first_password_is_greeted_with_only_on_a_terminal() {
        let greet = |first: Option<&str>, on_terminal| {
            greeting("http://here", &SignIn::of(first.map(Secret::new), on_terminal), true)
        };
        let on_terminal = greet(Some("the-password"), true);
        assert!(
            on_terminal.contains("sign in     admin with the password the-password\n"),
            "{on_terminal}"
        );
        assert!(
            on_terminal.contains("curl -u admin:the-password http://here/graphql"),
            "{on_terminal}"
        );
        let elsewhere = greet(Some("the-password"), false);
        assert!(!elsewhere.contains("the-password"), "{elsewhere}");
        assert!(
            elsewhere.contains("sign in     admin, after you have set the password: clientele user password admin\n"),
            "{elsewhere}"
        );
        for on_terminal in [true, false] {
            let later = greet(None, on_terminal);
            assert!(
                later.contains("sign in     admin, or another user (clientele user list)\n"),
                "{later}"
            );
        }
    }
}
