//! Tests of the REST API: real requests to the real router over loopback, each test with its own database.

mod reading;
mod refusals;
mod updates;

use std::time::Duration;

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use reqwest::{Method, RequestBuilder, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{RestSettings, router};
use crate::services::{ServiceSettings, Services};
use clientele_core::budget::{AnswerSettings, BudgetPool, Connections};
use clientele_domain::{
    caller::{Api, Caller},
    custom_field::{CustomFieldInput, CustomFieldOptionInput, CustomFieldSetInput, UpsertCustomFieldSet},
    definitions::{FieldState, Kind},
};
use clientele_storage::db::{Database, DatabaseSettings};

/// The key of the default role in every fresh database.
const DEFAULT_ROLE: &str = "d9df8bc78a0234ccc934a845c";

/// The router without authentication.
fn open(services: &Services, settings: RestSettings) -> axum::Router {
    let anyone = Caller::anyone(Api::Rest, "request".into());
    let budgets = BudgetPool::new(Duration::from_secs(30), Connections::ONE, &AnswerSettings::default());
    router(services, settings, budgets).layer(axum::Extension(anyone))
}

struct Server {
    services: Services,
    address: String,
    http: reqwest::Client,
    _folder: TempDir,
}

/// A status and the body as received.
type Answer = (u16, String);

impl Server {
    async fn start() -> Self {
        Self::with(RestSettings::default()).await
    }

    async fn with(settings: RestSettings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("clients.db").display());
        let db = Database::connect(&url, &DatabaseSettings::default())
            .await
            .expect("a database");
        db.migrate().await.expect("the tables");
        let services = Services::new(db, ServiceSettings::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let router = open(&services, settings);
        tokio::spawn(async move { axum::serve(listener, router).await });
        // The HTTP client has no default cryptography, though nothing here is encrypted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self {
            services,
            address,
            http,
            _folder: folder,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.address))
    }

    async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await
    }

    async fn post_as(&self, path: &str, media_type: &'static str, body: impl Into<reqwest::Body>) -> Answer {
        send(
            self.request(Method::POST, path)
                .header(CONTENT_TYPE, media_type)
                .body(body),
        )
        .await
    }

    /// Creates a client with all members and returns it.
    async fn ines(&self) -> Value {
        self.define().await;
        let body = json!({
            "client": {
                "firstName": "Ines", "lastName": "Okafor", "id": "INES", "birthDate": "1990-04-17", "notes": "n",
            },
            "addresses": [{"line1": "1 Test Lane", "city": "Exampleton", "latitude": "52.5", "longitude": -1.25}],
            "idDocuments": [
                {"documentType": "Passport", "documentId": "X1", "validUntil": "2034-01-31T00:00:00+0000"},
                {"documentType": "Licence", "documentId": "X2", "issuingAuthority": "Test Office"},
            ],
            "customInformation": [
                {"customFieldID": "risk_band", "value": "LOW"},
                {"customFieldID": "income", "value": 1250.50, "customFieldSetGroupIndex": "-1"},
                {"customFieldID": "resident", "value": true},
            ],
        });
        let (status, text) = self.post("/api/clients", body).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Reads the client that [`ines`](Self::ines) created.
    async fn full(&self) -> Value {
        let (_, text) = self.get("/api/clients/INES?fullDetails=true").await;
        serde_json::from_str(&text).expect("JSON")
    }

    async fn define(&self) {
        self.define_with(None, false).await;
    }

    /// Changes the state of the field `income`, and whether it is required.
    async fn define_with(&self, state: Option<FieldState>, required: bool) {
        let field = |id: &str, kind| CustomFieldInput {
            field_id: id.to_owned(),
            encoded_key: Given(format!("{}Key", id.replace('_', ""))),
            name: Given(format!("The {id}")),
            kind: Some(kind),
            ..CustomFieldInput::default()
        };
        let options = ["LOW", "HIGH"].map(|value| CustomFieldOptionInput {
            value: value.to_owned(),
            ..CustomFieldOptionInput::default()
        });
        let fields = vec![
            CustomFieldInput {
                options: Given(options.to_vec()),
                ..field("risk_band", Kind::Selection)
            },
            CustomFieldInput {
                state,
                required: Some(required),
                ..field("income", Kind::Number)
            },
            field("resident", Kind::Checkbox),
            field("since", Kind::Date),
            CustomFieldInput {
                pattern: Given("##-@@".to_owned()),
                ..field("code", Kind::Text)
            },
            field("referrer", Kind::ClientLink),
        ];
        let set = CustomFieldSetInput {
            set_id: "facts".to_owned(),
            encoded_key: Undefined,
            name: Given("Facts".to_owned()),
            ..CustomFieldSetInput::default()
        };
        let input = UpsertCustomFieldSet {
            set,
            fields: Given(fields),
            client_mutation_id: None,
        };
        let (operator, now) = (Caller::operator(), chrono::DateTime::UNIX_EPOCH);
        let defined = self.services.custom_fields.upsert_set(&operator, &input, now).await;
        defined.expect("a database").expect("sound definitions");
    }
}

async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let media_type = response.headers().get(CONTENT_TYPE).cloned();
    assert_eq!(
        media_type.as_ref().map(|value| value.as_bytes()),
        Some(&b"application/json; charset=utf-8"[..])
    );
    (response.status().as_u16(), response.text().await.expect("a text"))
}

/// The status, number and source of a refusal.
fn refusal((status, text): &Answer) -> (u16, u64, String) {
    let answer: Value = serde_json::from_str(text).expect("JSON");
    let code = answer["returnCode"]
        .as_u64()
        .unwrap_or_else(|| panic!("a refusal, not {text}"));
    (
        *status,
        code,
        answer["errorSource"].as_str().unwrap_or_default().to_owned(),
    )
}

/// Replaces the values of these members, which differ between runs.
fn masked(text: &str, answer: &Value, pointers: &[&str]) -> String {
    pointers.iter().fold(text.to_owned(), |text, pointer| {
        let value = answer.pointer(pointer).and_then(Value::as_str).expect("a text");
        text.replace(value, pointer.rsplit('/').next().unwrap_or_default())
    })
}

#[tokio::test]
async fn both_examples_of_the_old_documentation_work_as_they_stand() {
    let server = Server::start().await;
    let path = "/api/clients?firstName=Trevor&lastName=Linden&emailAddress=trevor.linden%40mambu.com";

    let (status, text) = send(server.request(Method::POST, path)).await;

    let answer = serde_json::from_str(&text).expect("JSON");
    let expected = [
        r#"{"encodedKey":"encodedKey","state":"INACTIVE","id":"id","creationDate":"creationDate","#,
        r#""lastModifiedDate":"creationDate","approvedDate":"creationDate","firstName":"Trevor","#,
        r#""lastName":"Linden","emailAddress":"trevor.linden@mambu.com","loanCycle":0,"groupLoanCycle":0,"#,
        r#""clientRole":{"encodedKey":""#,
        DEFAULT_ROLE,
        r#""},"preferredLanguage":"ENGLISH"}"#,
    ]
    .concat();
    assert_eq!(
        (status, masked(&text, &answer, &["/encodedKey", "/id", "/creationDate"])),
        (200, expected)
    );

    let body = r#"{
"client":{
"firstName":"Trevor",
"lastName":"Linden",
"middleName":"Good",
"homePhone":"7899221665",
"emailAddress":"trevor.linden@mambu.com",
"mobilePhone1":"211111111",
"mobilePhone2":"122222222",
"gender":"MALE",
"clientRole": {"encodedKey":"d9df8bc78a0234ccc934a845c"}
}
}"#;
    let (status, text) = server.post_as("/api/clients/", "application/json", body).await;

    let answer = serde_json::from_str(&text).expect("JSON");
    let expected = [
        r#"{"client":{"encodedKey":"encodedKey","state":"INACTIVE","id":"id","creationDate":"creationDate","#,
        r#""lastModifiedDate":"creationDate","approvedDate":"creationDate","firstName":"Trevor","#,
        r#""lastName":"Linden","middleName":"Good","homePhone":"7899221665","#,
        r#""emailAddress":"trevor.linden@mambu.com","mobilePhone1":"211111111","mobilePhone2":"122222222","#,
        r#""gender":"MALE","loanCycle":0,"groupLoanCycle":0,"clientRole":{"encodedKey":""#,
        DEFAULT_ROLE,
        r#""},"preferredLanguage":"ENGLISH"},"customInformation":[],"idDocuments":[],"addresses":[]}"#,
    ]
    .concat();
    let text = masked(
        &text,
        &answer,
        &["/client/encodedKey", "/client/id", "/client/creationDate"],
    );
    assert_eq!((status, text), (200, expected));
}

#[tokio::test]
async fn a_form_creates_as_parameters_do() {
    let server = Server::start().await;
    let form = "firstName=Ines&lastName=O%27Kafor&birthdate=1990-04-17";

    let (status, text) = server
        .post_as("/api/clients", "application/x-www-form-urlencoded; charset=UTF-8", form)
        .await;

    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (status, &answer["lastName"], &answer["birthDate"]),
        (200, &json!("O'Kafor"), &json!("1990-04-17T00:00:00+0000"))
    );
}
