//! Connections beyond the limit.

use clientele::server::HttpSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{connect, reading, rest, serve};

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn surplus_connection_is_closed_and_others_go_on() {
    for (settings, places) in [
        (
            HttpSettings {
                connections: 2,
                ..HttpSettings::default()
            },
            2,
        ),
        (
            HttpSettings {
                connections_per_address: 3,
                ..HttpSettings::default()
            },
            3,
        ),
        (
            // A proxy connects for many callers.
            HttpSettings {
                connections: 4,
                connections_per_address: 1,
                trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")],
                ..HttpSettings::default()
            },
            4,
        ),
    ] {
        let (address, _net) = serve(settings, reading()).await;
        let mut open = Vec::new();
        for _ in 0..places {
            let mut stream = connect(address).await;
            stream.write_all(ASK).await.expect("sent");
            assert!(stream.read(&mut [0; 4096]).await.expect("an answer") > 0);
            open.push(stream);
        }
        assert_eq!(rest(&mut connect(address).await).await, "");
        for stream in &mut open {
            stream.write_all(ASK).await.expect("sent");
            assert!(stream.read(&mut [0; 4096]).await.expect("an answer") > 0);
        }
        // A connection that ends makes room for another one.
        let mut last = open.pop().expect("one");
        last.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .expect("sent");
        assert!(rest(&mut last).await.starts_with("HTTP/1.1 200"));
        drop(last);
        loop {
            let mut stream = connect(address).await;
            stream.write_all(ASK).await.expect("sent");
            // The permit is released shortly after the caller sees the end.
            if stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {
                break;
            }
        }
    }
}
