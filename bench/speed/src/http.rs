//! Requests over kept-alive connections.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

pub type Failure = Box<dyn std::error::Error>;

/// A request without what all requests have.
pub struct Call {
    pub method: Method,
    pub path: String,
    pub body: String,
}

impl Call {
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: String::new(),
        }
    }

    pub fn post(path: &str, body: String) -> Self {
        Self {
            method: Method::POST,
            path: path.to_owned(),
            body,
        }
    }
}

pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    address: String,
    /// The value of the header `Authorization`; empty for none.
    authorization: String,
}

impl Connection {
    pub async fn open(address: SocketAddr, authorization: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            address: address.to_string(),
            authorization: authorization.to_owned(),
        })
    }

    pub async fn send(&mut self, call: Call) -> Result<(StatusCode, Bytes), Failure> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, &self.address);
        if !self.authorization.is_empty() {
            request = request.header(AUTHORIZATION, &self.authorization);
        }
        if !call.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Full::from(call.body))?).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}
