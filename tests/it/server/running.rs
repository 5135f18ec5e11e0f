//! A running server: greeting, request log, health checks, playground and shutdown.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use crate::harness::program::{Server, directory, run};

#[tokio::test]
async fn server_prints_its_address_and_stops_on_a_signal() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&[]);
        let address = &server.address;
        assert!(
            server.greeting.contains(&format!("GraphQL     {address}/graphql\n")),
            "{}",
            server.greeting
        );
        for (path, answer) in [("live", "live\n"), ("ready", "ready\n")] {
            let response = reqwest::get(format!("{address}/health/{path}"))
                .await
                .expect("an answer");
            assert_eq!(
                (
                    response.status().as_u16(),
                    response.text().await.expect("a body").as_str()
                ),
                (200, answer)
            );
        }
        server.signal(signal);
        assert_eq!(server.wait().1, Some(0), "{signal}");
    }
}

#[tokio::test]
async fn host_name_to_listen_on_is_resolved() {
    let database = directory();
    let url = format!("sqlite:{}", database.path().join("clientele.db").display());
    assert_eq!(run(&["migrate", "--database-url", &url], &[]).2, Some(0));
    let worker = [
        ("CLIENTELE_NOTIFICATIONS__WORKER_LISTEN", "localhost:0"),
        ("DATABASE_URL", &*url),
    ];
    for (arguments, environment) in [
        (&["serve", "--no-auth", "--listen", "localhost:0"][..], &[][..]),
        (&["worker"], &worker),
    ] {
        let server = Server::start_with(arguments, environment);
        assert!(server.address.starts_with("http://127.0.0.1:"), "{}", server.address);
        let response = reqwest::get(format!("{}/health/live", server.address)).await;
        assert_eq!(response.expect("an answer").status(), 200);
        if arguments[0] == "worker" {
            let response = reqwest::get(format!("{}/graphql", server.address)).await;
            let response = response.expect("an answer");
            assert_eq!(response.status(), 404);
            let text = response.text().await.expect("an answer");
            let body: Value = serde_json::from_str(&text).expect("JSON");
            let message = "There is no such path. This port has /health/live, /health/ready and /metrics.";
            assert_eq!(body["message"], message);
        }
        server.signal("TERM");
        assert_eq!(server.wait().1, Some(0), "{arguments:?}");
    }
}

#[tokio::test]
async fn request_log_has_one_line_with_id_and_no_personal_data() {
    let server = Server::start(&[("CLIENTELE_LOG__FORMAT", "json")]);
    let client = reqwest::Client::new();
    let id = "0190a5c5-9ec6-7c4e-a3a4-0dc4d5a7a1f0";
    for (path, sent, status) in [
        ("/health/live?name=Okafor", Some(id), 200),
        ("/playground/assets/Okafor", Some("not an id"), 404),
        // The path looks valid and contains a person's name and number.
        ("/health/live", Some("Okafor-14155550101"), 200),
        ("/health/live", Some("4929123456789012"), 200),
        ("/Okafor", None, 404),
    ] {
        let mut request = client.get(format!("{}{path}", server.address));
        if let Some(id) = sent {
            request = request.header("x-request-id", id);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), status);
        let answered = response.headers()["x-request-id"].to_str().expect("ASCII");
        assert_eq!(answered == id, sent == Some(id));
        assert_eq!(answered.len(), 36);
    }
    server.signal("TERM");
    let (log, _) = server.wait();

    for personal in ["Okafor", "14155550101", "4929123456789012"] {
        assert!(!log.contains(personal), "{log}");
    }
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
    let lines: Vec<_> = requests
        .iter()
        .map(|line| (&line["method"], &line["route"], &line["status"]))
        .collect();
    let lines = serde_json::to_value(lines).expect("JSON");
    let expected = serde_json::json!([
        ["GET", "/health/live", 200],
        ["GET", "/playground/assets/{file}", 404],
        ["GET", "/health/live", 200],
        ["GET", "/health/live", 200],
        ["GET", "none", 404],
    ]);
    assert_eq!(lines, expected);
    assert_eq!(requests[0]["request_id"], id);
    assert!(requests[1]["request_id"].as_str().is_some_and(|id| id.len() == 36));
}

#[tokio::test]
async fn playground_policy_allows_only_its_own_files() {
    let server = Server::start(&[]);
    let page = reqwest::get(format!("{}/playground", server.address))
        .await
        .expect("an answer");
    assert_eq!(
        page.headers()["content-security-policy"],
        "default-src 'none'; connect-src 'self'; font-src data:; img-src 'self' data:; script-src 'self'; style-src \
         'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // Built or not, the page has a title, and loads nothing from elsewhere.
    let page = page.text().await.expect("a body");
    assert!(page.contains("<h1>clientele playground"), "{page}");
    for attribute in ["src=\"", "<link rel=\"stylesheet\" href=\""] {
        for (_, rest) in page
            .match_indices(attribute)
            .map(|(at, found)| (at, &page[at + found.len()..]))
        {
            assert!(rest.starts_with("/playground/assets/"), "{rest}");
        }
    }
}

#[tokio::test]
async fn playground_of_a_folder_is_served_and_a_wrong_folder_stops_the_start() {
    let folder = directory();
    let path = folder.path().display().to_string();
    let set = format!("playground.directory={path}");
    let (printed, reason, code) = run(&["--set", &set], &[]);
    assert_eq!((printed.as_str(), code), ("", Some(2)));
    assert_eq!(
        reason,
        format!(
            "clientele: playground.directory, {path}, has no file index.html: name the folder that `npm run build` in \
             playground has filled\n"
        )
    );
    std::fs::write(folder.path().join("index.html"), "<h1>another page</h1>").expect("written");
    let server = Server::start(&[("CLIENTELE_PLAYGROUND__DIRECTORY", &path)]);
    let page = reqwest::get(format!("{}/playground", server.address)).await;
    let page = page.expect("an answer").text().await;
    assert_eq!(page.expect("a body"), "<h1>another page</h1>");
}

#[tokio::test]
async fn playground_of_the_working_directory_is_used_by_a_program_without_it() {
    let directory = directory();
    let built = directory.path().join("playground/dist");
    std::fs::create_dir_all(&built).expect("created");
    std::fs::write(built.join("index.html"), "<h1>built later</h1>").expect("written");
    let server = Server::start_in(directory, &[]);
    let page = reqwest::get(format!("{}/playground", server.address)).await;
    let page = page.expect("an answer").text().await.expect("a body");
    // Files in the program win.
    let expected = match page.contains("graphiql") {
        true => "<h1>clientele playground</h1>",
        false => "<h1>built later</h1>",
    };
    assert!(page.contains(expected), "{page}");
    assert!(!server.greeting.contains("not built"), "{}", server.greeting);
}

/// The answer to a health check on an open connection, in lower case.
fn check_on(connection: &mut TcpStream) -> String {
    let request = "GET /health/live HTTP/1.1\r\nHost: clientele.test\r\n\r\n";
    connection.write_all(request.as_bytes()).expect("sent");
    let (mut answer, mut part) = (String::new(), [0; 1024]);
    while !answer.ends_with("live\n") {
        let length = connection.read(&mut part).expect("an answer");
        assert!(length > 0, "the connection has ended after {answer:?}");
        answer += &String::from_utf8_lossy(&part[..length]).to_ascii_lowercase();
    }
    answer
}

#[tokio::test]
async fn stopping_server_is_unready_and_answers_during_the_delay() {
    let server = Server::start(&[("CLIENTELE_SHUTDOWN_DELAY_SECONDS", "600")]);
    let ask = async |path: &str| {
        let response = reqwest::get(format!("{}{path}", server.address))
            .await
            .expect("an answer");
        let status = response.status().as_u16();
        (status, response.text().await.expect("a body"))
    };
    assert_eq!(ask("/health/ready").await, (200, "ready\n".to_owned()));
    let address = server.address.trim_start_matches("http://");
    let mut open = TcpStream::connect(address).expect("it listens");
    assert!(!check_on(&mut open).contains("connection:"));
    server.signal("TERM");
    let noticed = async {
        loop {
            let (status, body) = ask("/health/ready").await;
            if status != 200 {
                break (status, body);
            }
        }
    };
    assert_eq!(noticed.await, (503, "stopping\n".to_owned()));
    // Each on its own connection.
    assert_eq!(ask("/health/live").await, (200, "live\n".to_owned()));
    assert_eq!(ask("/api/clients").await.0, 401);
    // The answer on an open connection asks the caller to open another one.
    assert!(check_on(&mut open).contains("\r\nconnection: close\r\n"));
    assert_eq!(open.read(&mut [0]).expect("the end"), 0);
    // A second signal ends the delay.
    server.signal("TERM");
    assert_eq!(server.wait().1, Some(0));
}
