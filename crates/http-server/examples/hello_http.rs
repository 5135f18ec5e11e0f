//! Serves `hello` on a free port until Ctrl-C: `cargo run -p http-server --example hello_http`.

use std::{error::Error, time::Duration};

use axum::{Router, routing::get};
use http_server::{HttpSettings, Server};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = Server::new(&HttpSettings::default(), ())?;
    println!("{}://{}", server.scheme(), listener.local_addr()?);
    let router = Router::new().route("/", get(async || "hello\n"));
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    server.serve(listener, router, stop, Duration::from_secs(10)).await;
    Ok(())
}
