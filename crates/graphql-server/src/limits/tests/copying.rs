//! The bytes that preparing a document copies, and those that the cache counts.

use async_graphql::{Data, Variables};
use serde_json::{Value, json};

use super::limits;
use crate::{
    context::{RequestContext, Restriction},
    error::GraphqlError,
    tests::{AUTHENTICATED, ask_with, server},
};

/// The bytes that a refused request would copy, as its error says.
fn copied(error: &GraphqlError) -> usize {
    let rest = error.message.strip_prefix("The document has ").expect("a number");
    let (bytes, what) = rest.split_once(' ').expect("words");
    assert!(
        what.starts_with("bytes with its fragments and variables spelled out"),
        "{what}"
    );
    bytes.parse().expect("a number")
}

#[tokio::test]
async fn what_fragments_and_variables_copy_is_bounded_before_it_is_copied() {
    let text = "x".repeat(100_000);
    // In both, the text stands once in the request and twice in what would be run.
    let literal = format!("query A {{ ...F }} query B {{ ...F }} fragment F on Query {{ argument(text: \"{text}\") }}");
    let variable = "query A($text: String) { a: argument(text: $text) b: argument(text: $text) }";
    for (query, variables) in [(literal.as_str(), json!({})), (variable, json!({ "text": text }))] {
        let refused = async |body_bytes| {
            let server = server(limits(|l| (l.complexity, l.body_bytes) = (10, body_bytes)));
            let variables = Variables::from_json(variables.clone());
            let prepared = server.prepare(query, Some("A"), variables, &AUTHENTICATED).await;
            prepared.err().map(|refusal| refusal.errors()[0].clone())
        };
        let bytes = copied(&refused(0).await.expect("no room at all"));
        assert!((200_000..202_000).contains(&bytes), "{bytes}");
        // 256 bytes for each field that may be asked for, and four times the body.
        let body = (bytes - 2_560).div_ceil(4);
        assert_eq!(refused(body).await, None);
        assert_eq!(copied(&refused(body - 1).await.expect("one less")), bytes);
    }
    let once = "query A($text: String) { argument(text: $text) }";
    let answer = ask_with(
        limits(|l| (l.complexity, l.body_bytes) = (10, 0)),
        once,
        json!({ "text": text }),
    );
    assert!(
        !String::from_utf8(answer.await.body.to_vec())
            .unwrap()
            .contains("errors")
    );
}

#[tokio::test]
async fn the_document_cache_counts_what_a_document_becomes_and_keeps_none_that_is_refused() {
    let text = "x".repeat(10_000);
    let spread = |count: usize| {
        let operations = (0..count).map(|n| format!("query A{n} {{ ...F }} "));
        operations.collect::<String>() + &format!("fragment F on Query {{ argument(text: \"{text}\") }}")
    };
    let server = server(limits(|l| l.aliases = 0));
    let run = async |query: &str, name| {
        let answer = server.execute(query, name, Variables::default(), Data::default(), &AUTHENTICATED);
        let body: Value = serde_json::from_slice(&answer.await.body.to_vec()).unwrap();
        body["errors"][0]["message"].as_str().map(str::to_owned)
    };
    let refused = Some("The document has 1 aliases, and at most 0 are allowed.".to_owned());
    for _ in 0..2 {
        assert_eq!(run("{ a: __typename }", None).await, refused);
        assert_eq!(server.cached(), (0, 0));
    }
    assert_eq!(run(&spread(10), Some("A3")).await, None);
    let (documents, bytes) = server.cached();
    assert_eq!(documents, 1);
    assert!(bytes > 10 * 10_000, "{bytes}");
}

/// A caller who may only send one mutation.
struct RestrictedContext;

impl RequestContext for RestrictedContext {
    fn request_id(&self) -> &str {
        "r1"
    }

    fn restriction(&self) -> Option<Restriction> {
        Some(Restriction {
            mutations: &["up"],
            body_bytes: 1_000,
        })
    }
}

#[tokio::test]
async fn documents_of_a_restricted_caller_are_not_cached() {
    let server = server(limits(|_| {}));
    let query = "mutation { up { a } }";
    for (is_restricted, cached) in [(true, 0), (false, 1)] {
        let (variables, data) = (Variables::default(), Data::default());
        match is_restricted {
            true => server.execute(query, None, variables, data, &RestrictedContext).await,
            false => server.execute(query, None, variables, data, &AUTHENTICATED).await,
        };
        assert_eq!(server.cached().0, cached);
    }
}
