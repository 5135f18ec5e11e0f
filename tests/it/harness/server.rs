//! The server under test: the real router on a real listener, and the ways to call it.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use clientele::{
    access::Clock,
    api,
    caller::Rights,
    client::ClientSettings,
    db::{Step, Transaction, Work},
    error::Result,
    message_guard::MessageSettings,
    server::{HttpSettings, Server},
    services::{ServiceSettings, Services},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    Answer, Backend, Snapshot,
    callers::{CALLER, Callers},
    database::PrivateDatabase,
    names::Names,
    net,
};

/// The configuration of a test server.
#[derive(Clone, Debug)]
pub struct Settings {
    pub clients: ClientSettings,
    pub messages: MessageSettings,
    pub doors: api::Settings,
    pub http: HttpSettings,
    pub request_timeout_seconds: u64,
    /// The clock of the cache of users and tokens.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clients: ClientSettings::default(),
            messages: MessageSettings::default(),
            doors: api::Settings::default(),
            // Tests send more requests at once than the default admits: they must meet in the database.
            http: HttpSettings {
                requests: 1_000,
                ..HttpSettings::default()
            },
            request_timeout_seconds: 30,
            clock: Clock::default(),
        }
    }
}

/// A running server with a database that no other test uses.
#[derive(Debug)]
pub struct TestServer {
    pub services: Services,
    pub backend: Backend,
    address: String,
    http: reqwest::Client,
    database: Arc<PrivateDatabase>,
    names: Arc<Names>,
    statements: Arc<Mutex<Vec<String>>>,
    /// None for a view of another server.
    serving: Option<JoinHandle<()>>,
    callers: Callers,
    /// The caller, as the server knows it; none: unauthenticated.
    caller: Option<usize>,
    /// Dropped last.
    net: net::Spread,
}

impl TestServer {
    /// None when PostgreSQL is wanted and isn't installed.
    pub async fn start(backend: Backend, settings: Settings) -> Option<Self> {
        let database = PrivateDatabase::create(backend).await?;
        Some(Box::pin(Self::serve(Arc::new(database), Arc::default(), backend, settings)).await)
    }

    /// Another server on the same database. Boxed: a test that starts several would need more stack than its thread
    /// has.
    pub async fn another(&self, settings: Settings) -> Self {
        let (database, names) = (self.database.clone(), self.names.clone());
        Box::pin(Self::serve(database, names, self.backend, settings)).await
    }

    async fn serve(database: Arc<PrivateDatabase>, names: Arc<Names>, backend: Backend, settings: Settings) -> Self {
        let net = net::spread();
        let mut connection = database.connect(settings.request_timeout_seconds).await;
        let statements: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = statements.clone();
        connection.observe(move |sql| seen.lock().expect("no observer has panicked").push(sql.to_owned()));
        let service_settings = ServiceSettings {
            clients: settings.clients.clone(),
            messages: settings.messages.clone(),
            clock: settings.clock.clone(),
            ..ServiceSettings::default()
        };
        let services = Services::new(connection, service_settings);
        let begun = services.audit.start(std::time::SystemTime::now().into()).await;
        begun.expect("the history begins");
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port of the loopback address is free");
        let address = format!(
            "http://{}",
            listener.local_addr().expect("a bound listener has an address")
        );
        let callers = Callers::default();
        let router = callers.known_to(api::router(&services, settings.doors.clone()));
        let server = Server::new(&settings.http, settings.doors.metrics.clone()).expect("valid settings");
        let server = server.with_cors(settings.doors.cors.layer());
        let serving = tokio::spawn(server.serve(listener, router, pending(), Duration::ZERO));
        // The library names no cryptography of its own, though nothing here is encrypted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client without options can be made");
        Self {
            services,
            backend,
            address,
            http,
            database,
            names,
            statements,
            serving: Some(serving),
            callers,
            caller: None,
            net,
        }
    }

    /// Stops serving, and drops the database when this was its last server.
    pub async fn stop(self) {
        if let Some(serving) = self.serving {
            serving.abort();
            let _ = serving.await;
        }
        self.services.db.clone().close().await;
        if let Some(database) = Arc::into_inner(self.database) {
            database.drop().await;
        }
        drop(self.net);
    }

    /// A request to this server, with placeholders in the path replaced.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{}", self.address, self.names.reveal_text(path)));
        match self.caller {
            Some(caller) => request.header(CALLER, caller),
            None => request,
        }
    }

    /// The same server for a caller with exactly these rights.
    #[must_use]
    pub fn as_caller(&self, rights: &Rights) -> Self {
        Self {
            services: self.services.clone(),
            backend: self.backend,
            address: self.address.clone(),
            http: self.http.clone(),
            database: self.database.clone(),
            names: self.names.clone(),
            statements: self.statements.clone(),
            serving: None,
            callers: self.callers.clone(),
            caller: Some(self.callers.add(rights)),
            net: net::spread(),
        }
    }

    /// The listening address, for tests that send raw bytes.
    pub fn address(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("the server answers");
        let status = response.status().as_u16();
        let content_type = response.headers().get("content-type");
        let content_type = content_type
            .map_or("", |value| value.to_str().expect("a header is text"))
            .to_owned();
        let text = response.text().await.expect("an answer is text");
        net::answer(status, &text);
        // JSON in memory has no order: the keys are numbered as they stand in the text.
        self.names.hide_text(&text);
        let body = self.names.hide(serde_json::from_str(&text).unwrap_or_default());
        Answer {
            status,
            body,
            text,
            content_type,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// Posts JSON, in which placeholders are replaced.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&self.names.reveal(&body)))
            .await
    }

    /// Sends JSON by any method. Placeholders are replaced.
    pub async fn send_json(&self, method: Method, path: &str, body: Value) -> Answer {
        self.send(self.request(method, path).json(&self.names.reveal(&body)))
            .await
    }

    /// Posts JSON and asserts the whole answer, and that nothing was written.
    #[track_caller]
    pub fn refuses(&self, path: &str, body: Value, status: u16, answer: Value) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let before = self.snapshot().await;
            let got = self.post(path, body.clone()).await;
            assert!(
                got.status == status && got.body == answer,
                "{caller}: {body:#}\n\nexpected {status} {answer:#}\n\nbut got {} {}",
                got.status,
                got.text,
            );
            assert_eq!(self.snapshot().await, before, "{caller}: a refusal must write nothing");
        }
    }

    /// The text with its placeholders replaced.
    pub fn reveal(&self, text: &str) -> String {
        self.names.reveal_text(text)
    }

    /// Runs a GraphQL document. Placeholders in the variables are replaced.
    pub async fn graphql(&self, query: &str, variables: Value) -> Answer {
        self.post("/graphql", json!({ "query": query, "variables": variables }))
            .await
    }

    /// The address of its database, for other programs.
    pub fn database_url(&self) -> String {
        self.database.url()
    }

    pub async fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.services.db).await
    }

    /// Stores `count` invented clients.
    pub async fn seed(&self, count: u32) {
        let now = std::time::SystemTime::now().into();
        self.services
            .clients
            .seed(count, now, |_| ())
            .await
            .expect("seeding works");
    }

    /// Runs an SQL statement directly.
    pub async fn write(&self, sql: &str) -> Result<()> {
        self.services.db.write(&Raw(sql)).await?
    }

    /// Returns when the change feed has all changes that are committed. On PostgreSQL, transactions of other tests hold
    /// it back, too.
    pub async fn wait_for_changes(&self) {
        if self.backend == Backend::Sqlite {
            return;
        }
        let sql = "SELECT count(*) FROM client_change, change_feed \
            WHERE ordinal >= shift + pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
        let begun = Instant::now();
        loop {
            let row = self.services.db.read().one(sql, []).await.expect("an answer");
            let waiting: i64 = row.expect("a row").try_get_by_index(0).expect("a number");
            if waiting == 0 {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{waiting} changes are held back"
            );
            tokio::task::yield_now().await;
        }
    }

    /// The statements that were run since the last call.
    pub fn statements(&self) -> Vec<String> {
        std::mem::take(&mut self.statements.lock().expect("no observer has panicked"))
    }
}

/// A statement outside the domain's functions.
struct Raw<'a>(&'a str);

impl Work for Raw<'_> {
    type Output = Result<()>;

    /// A failure is returned as output, so that it is not retried.
    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Result<()>>> {
        Ok(match transaction.run(self.0, []).await {
            Ok(_) => Step::Commit(Ok(())),
            Err(error) => Step::Discard(Err(error)),
        })
    }
}
