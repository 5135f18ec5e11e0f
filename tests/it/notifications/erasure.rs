//! Messages in delivery while their client is erased.

use axum::{Router, http::StatusCode};
use clientele::{
    caller::Caller,
    client::Erased,
    delivery::{NotificationSettings, settings::SmsSettings},
};
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    manual_worker::{Hand, sms_settings},
    messages, reachable, template,
};
use crate::harness::{
    TestServer,
    graphql::store_key,
    peers::{Answering, GatewayPeer},
};

/// The settings of a gateway that has a client's traces erased before it answers.
async fn gateway(server: &TestServer, client: &str, status: u16, body: &'static str) -> NotificationSettings {
    let (services, client) = (server.services.clone(), client.to_owned());
    let answer = move || {
        let (services, client) = (services.clone(), client.clone());
        async move {
            let now = std::time::SystemTime::now().into();
            let erased = services.clients.erase_traces(&Caller::operator(), &client, now).await;
            assert_eq!(erased.expect("the database answers"), Some(Erased::Now { records: 1 }));
            (StatusCode::from_u16(status).expect("a status"), body)
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/send", listener.local_addr().expect("bound"));
    tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
    let usual = sms_settings(&GatewayPeer::start(Answering::Accept).await);
    NotificationSettings {
        sms: SmsSettings {
            url,
            ..usual.sms.clone()
        },
        ..usual
    }
}

on_both!(provider_reply_about_an_erased_client_is_not_kept);

async fn provider_reply_about_an_erased_client_is_not_kept(server: &TestServer) {
    template(server, "text", json!({ "channel": "SMS" })).await;
    let words = r#"{ "code": 21211, "message": "+14155550101 is unknown here" }"#;
    let accepted = r#"{ "sid": "to +14155550101" }"#;
    for (status, body, state, end) in [
        (201, accepted, "SENT", "SENT"),
        (400, words, "FAILED", "FAILED"),
        (503, words, "QUEUED", "FAILED"),
    ] {
        let client = store_key(server, json!({ "client": reachable() })).await;
        let mut worker = Hand::new(server, gateway(server, &client, status, body).await);
        let of_client = async || {
            messages(server)
                .await
                .into_iter()
                .find(|message| message.client_key == client)
                .expect("there is one")
        };
        assert_eq!(worker.step().await, 1);
        let message = of_client().await;
        let kept = (
            message.state.as_str(),
            message.recipient.as_str(),
            message.provider_id,
            message.detail,
            message.placeholders,
        );
        assert_eq!(kept, (state, "", None, None, None));
        // A message waiting for a retry fails: there is nothing left to send.
        worker.wait(3_600 * 7);
        worker.finish().await;
        assert_eq!(of_client().await.state, end);
    }
}
