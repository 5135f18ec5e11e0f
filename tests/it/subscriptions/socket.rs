//! The caller's end of a WebSocket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, ClientRequestBuilder, Message},
};

use crate::harness::program::Server;

/// A message that doesn't come in this time is lost.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// A message of the server, or the end.
#[derive(Debug, PartialEq)]
pub enum Sent {
    Message(Value),
    Closed(u16, String),
    /// The connection ended without a close frame.
    Gone,
}

impl Socket {
    pub async fn open(server: &Server) -> Self {
        Self::open_with(server, &[("sec-websocket-protocol", "graphql-transport-ws")])
            .await
            .expect("it opens")
    }

    /// # Errors
    /// The status of the refusal.
    pub async fn open_with(server: &Server, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let address = format!("{}/graphql", server.address.replace("http://", "ws://"));
        let mut request = ClientRequestBuilder::new(address.parse().expect("an address"));
        for (name, value) in headers {
            request = match *name {
                "sec-websocket-protocol" => request.with_sub_protocol(*value),
                name => request.with_header(name, *value),
            };
        }
        match connect_async(request).await {
            Ok((stream, _)) => Ok(Self(stream)),
            Err(tungstenite::Error::Http(refused)) => Err(refused.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("sent");
    }

    pub async fn send_binary(&mut self) {
        self.0.send(Message::binary("{}")).await.expect("sent");
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.send(json!({ "type": "subscribe", "id": id, "payload": payload }))
            .await;
    }

    pub async fn next(&mut self) -> Sent {
        loop {
            let next = timeout(PATIENCE, self.0.next())
                .await
                .expect("the server sends something");
            match next {
                Some(Ok(Message::Text(text))) => return Sent::Message(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Sent::Closed(frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Sent::Gone,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message.
    pub async fn received(&mut self) -> Value {
        match self.next().await {
            Sent::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    /// The change in the next message, which is for this subscription.
    pub async fn changed(&mut self, id: &str) -> Value {
        let mut message = self.received().await;
        assert_eq!(
            (&message["type"], &message["id"]),
            (&json!("next"), &json!(id)),
            "{message}"
        );
        message["payload"]["data"]["clientChanged"].take()
    }

    /// The code and the message of the error that ends this subscription.
    pub async fn failed(&mut self, id: &str) -> (String, String) {
        let message = self.received().await;
        assert_eq!(
            (&message["type"], &message["id"]),
            (&json!("error"), &json!(id)),
            "{message}"
        );
        let error = &message["payload"][0];
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&error["extensions"]["code"]), text(&error["message"]))
    }

    /// Ends the socket as callers do. Returns the code with which the server answers.
    pub async fn close(mut self) -> Sent {
        self.0.close(None).await.expect("closed");
        self.next().await
    }
}
