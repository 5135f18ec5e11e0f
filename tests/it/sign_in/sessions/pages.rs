//! Pages of listed origins sign in and use their access token.

use clientele::api::{self, cors::CorsSettings};
use reqwest::Method;
use serde_json::{Value, json};

use super::{PASSWORD, SIGN_IN, anonymous, user};
use crate::{
    harness::{Backend, Settings},
    sign_in::credentials::on,
};

const FRIEND: &str = "https://app.bank.test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_of_a_listed_origin_signs_in_and_reads() {
    let mut settings = Settings::signed_in();
    settings.doors = api::Settings {
        cors: CorsSettings {
            allowed_origins: vec![FRIEND.to_owned()],
            ..CorsSettings::default()
        },
        ..settings.doors
    };
    on(Backend::Sqlite, settings, async |server| {
        user(server, "ana", &[]).await;
        for (headers, path) in [("content-type", "/graphql"), ("authorization,content-type", "/graphql")] {
            let request = server
                .request(Method::OPTIONS, path)
                .header("origin", FRIEND)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", headers);
            let preflight = request.send().await.expect("an answer");
            assert_eq!(preflight.status().as_u16(), 200);
            assert_eq!(preflight.headers()["access-control-allow-origin"], FRIEND);
            let allowed = preflight.headers()["access-control-allow-headers"]
                .to_str()
                .expect("a text");
            let allows = |name: &str| allowed.split(',').any(|allowed| allowed == name);
            assert!(headers.split(',').all(allows), "{allowed}");
            assert_eq!(preflight.headers().get("access-control-allow-credentials"), None);
        }
        let input = json!({ "name": "ana", "password": PASSWORD });
        let body = json!({ "query": SIGN_IN, "variables": { "input": input } }).to_string();
        let of_page = |origin| {
            [
                ("content-type", "application/json"),
                ("origin", origin),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "cors"),
            ]
        };
        let foreign = anonymous(server, body.clone(), &of_page("https://evil.example")).await;
        assert_eq!(foreign.status().as_u16(), 401);
        assert_eq!(foreign.headers().get("access-control-allow-origin"), None);
        let refusal: Value = foreign.json().await.expect("JSON");
        assert_eq!(
            refusal["errors"][0]["message"],
            "This request needs credentials. A page of another site can't sign in unless its origin is in the setting \
             cors.allowed_origins."
        );
        let response = anonymous(server, body, &of_page(FRIEND)).await;
        assert_eq!(response.headers()["access-control-allow-origin"], FRIEND);
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers().get("set-cookie"), None);
        let answer: Value = response.json().await.expect("JSON");
        let access = answer["data"]["signIn"]["accessToken"].as_str().expect("a token");
        let request = server
            .as_bearer(access)
            .request(Method::POST, "/graphql")
            .header("origin", FRIEND)
            .header("sec-fetch-site", "cross-site");
        let read = request.json(&json!({ "query": "{ viewer { name } }" })).send().await;
        let read = read.expect("an answer");
        assert_eq!(read.headers()["access-control-allow-origin"], FRIEND);
        let read: Value = read.json().await.expect("JSON");
        assert_eq!(read, json!({ "data": { "viewer": { "name": "ana" } } }));
    })
    .await;
}
