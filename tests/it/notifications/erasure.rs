//! Messages in delivery while their client is removed.

use axum::{Router, http::StatusCode};
use clientele::{
    caller::Caller,
    client_by::ClientBy,
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

/// The settings of a gateway before whose answer a client is erased, or deleted.
async fn gateway(
    server: &TestServer,
    client: &str,
    is_erasure: bool,
    (status, body): (u16, &'static str),
) -> NotificationSettings {
    let (services, client) = (server.services.clone(), client.to_owned());
    let answer = move || {
        let (services, client) = (services.clone(), client.clone());
        async move {
            let now = std::time::SystemTime::now().into();
            let (caller, by) = (Caller::operator(), ClientBy::EncodedKey(client).into());
            let removed = match is_erasure {
                true => services.clients.erase(&caller, &by, now).await,
                false => services.clients.delete(&caller, &by, now).await,
            };
            let removed = removed.expect("the database answers").expect("there is such a client");
            assert_eq!((removed.messages, removed.unsent), (1, 0), "it is being sent");
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

on_both!(provider_reply_about_a_removed_client_is_not_kept);

async fn provider_reply_about_a_removed_client_is_not_kept(server: &TestServer) {
    template(server, "text", json!({ "channel": "SMS" })).await;
    let words = r#"{ "code": 21211, "message": "+14155550101 is unknown here" }"#;
    let accepted = r#"{ "sid": "to +14155550101" }"#;
    for answer in [(201, accepted), (400, words), (503, words)] {
        for is_erasure in [true, false] {
            let client = store_key(server, json!({ "client": reachable() })).await;
            let mut worker = Hand::new(server, gateway(server, &client, is_erasure, answer).await);
            assert_eq!(worker.step().await, 1);
            // Nothing is left to retry.
            worker.wait(3_600 * 7);
            worker.finish().await;
            assert_eq!(messages(server).await.len(), 0);
        }
    }
}
