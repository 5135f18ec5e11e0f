//! Runs the example and sends it a request.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// The example, which ends with the test.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn hello_graphql_answers() -> Result<(), Box<dyn Error>> {
    // Cargo builds the examples of a package with its tests, next to them.
    let test = std::env::current_exe()?;
    let directory = test.ancestors().nth(2).ok_or("no directory")?;
    let mut command = Command::new(directory.join("examples/hello_graphql"));
    let mut example = Example(command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn()?);
    let output = example.0.stdout.take().ok_or("no output")?;
    let mut url = String::new();
    BufReader::new(output).read_line(&mut url)?;
    let address = url
        .trim()
        .strip_prefix("http://")
        .and_then(|url| url.strip_suffix("/graphql"));

    let mut connection = TcpStream::connect(address.ok_or("no address")?)?;
    let body = r#"{"query": "{ hello(name: \"world\") }"}"#;
    write!(
        connection,
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
            Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"data":{"hello":"Hello, world!"}}"#), "{answer}");
    Ok(())
}
