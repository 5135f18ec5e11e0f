//! The memory that unread responses may take together.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{NOTES, bounded, with_notes};
use crate::harness::{TestServer, graphql::data};

const MIB: usize = 1 << 20;
/// 6.6 MB: far more than the socket buffers of a caller who reads nothing.
const CLIENTS: u32 = 100;

/// A caller that has read the start of a large response and reads no more.
struct Slow {
    stream: TcpStream,
    got: Vec<u8>,
}

impl Slow {
    async fn ask(server: &TestServer, path: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // The socket buffers hold a small part of the response.
        socket.set_recv_buffer_size(16 << 10).expect("a small buffer");
        let address = server.address().parse().expect("an address");
        let mut stream = socket.connect(address).await.expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut got = vec![0; 12];
        stream.read_exact(&mut got).await.expect("an answer begins");
        assert_eq!(got, b"HTTP/1.1 200");
        Self { stream, got }
    }

    /// Reads the rest of the body.
    async fn take(mut self) -> Value {
        self.stream.read_to_end(&mut self.got).await.expect("it comes whole");
        let text = String::from_utf8(self.got).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a body");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        serde_json::from_str(body).expect("JSON")
    }
}

fn notes(clients: &Value) -> usize {
    let clients = clients.as_array().expect("a list").iter();
    clients.map(|client| client["notes"].as_str().map_or(0, str::len)).sum()
}

on_both!(unread_responses_delay_only_other_large_responses);

async fn unread_responses_delay_only_other_large_responses(server: &TestServer) {
    with_notes(server, CLIENTS).await;
    // A response takes twice its size while it is written and once while it is unread: three fit, a fourth does not.
    let server = &bounded(server, 14 * MIB, 33 * MIB).await;
    let (list, page) = ("/api/clients?limit=100", "{ clients(first: 100) { nodes { notes } } }");
    let graphql = "/graphql?query=%7Bclients(first:100)%7Bnodes%7Bnotes%7D%7D%7D";
    let mut slow = Vec::new();
    for path in [list, graphql, list] {
        slow.push(Slow::ask(server, path).await);
    }
    for _ in 0..3 {
        let answer = server.get(list).await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (503, &json!(6)),
            "{:.300}",
            answer.text
        );
        let answer = server.graphql(page, json!({})).await;
        assert_eq!(answer.status, 503, "{:.300}", answer.text);
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "UNAVAILABLE");
        // Small reads and changes still succeed.
        let first = data(server, "{ clients(first: 1) { nodes { clientId } } }", json!({})).await;
        assert_eq!(first["clients"]["nodes"][0]["clientId"], "SEED00000000");
        let input = json!({ "client": { "firstName": "Ines", "lastName": "Okafor" } });
        assert_eq!(server.post("/api/clients", input).await.status, 200);
    }
    let [first, second, third] = slow.try_into().unwrap_or_else(|_| panic!("three"));
    let all = CLIENTS as usize * NOTES;
    assert_eq!(notes(&first.take().await), all);
    assert_eq!(notes(&second.take().await["data"]["clients"]["nodes"]), all);
    assert_eq!(notes(&third.take().await), all);
    assert_eq!(notes(&data(server, page, json!({})).await["clients"]["nodes"]), all);
}
