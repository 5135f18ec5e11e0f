//! Estimates the memory that the results of a list take.

use std::io;

use serde::Serialize;

use clientele_core::problem::{Message, Part as Words, Problem, Step};

/// The bytes of a problem in memory.
pub(super) fn size_of_problem(problem: &Problem) -> usize {
    let Message(parts) = &problem.message;
    let words = parts.iter().map(|part| match part {
        Words::Text(text) => size_of::<Words>() + text.len(),
        Words::Member(_) | Words::ListedBy(_) | Words::Hint(_) => size_of::<Words>(),
    });
    // The path grows by the steps to the client.
    size_of::<Problem>() + words.sum::<usize>() + (problem.path.len() + 2) * size_of::<Step>()
}

/// The bytes of a client as JSON, which are about those of its rows.
pub(crate) fn size(client: &impl Serialize) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, client) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}
