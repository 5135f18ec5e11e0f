//! Runs the example and sends it a request.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The example, which ends with the test.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn hello_http_answers_and_ends_on_interrupt() -> Result<(), Box<dyn Error>> {
    // Cargo builds the examples of a package with its tests, next to them.
    let test = std::env::current_exe()?;
    let directory = test.ancestors().nth(2).ok_or("no directory")?;
    let program = directory.join("examples/hello_http");
    let mut example = Example(Command::new(program).stdout(Stdio::piped()).spawn()?);
    let output = example.0.stdout.take().ok_or("no output")?;
    let mut address = String::new();
    BufReader::new(output).read_line(&mut address)?;
    let address = address.trim().strip_prefix("http://").ok_or("no address")?;

    let mut connection = TcpStream::connect(address)?;
    connection.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello\n"), "{answer}");

    kill_process(Pid::from_child(&example.0), Signal::INT)?;
    assert!(example.0.wait()?.success());
    Ok(())
}
