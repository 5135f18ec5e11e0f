//! Naming documents, its errors, and the bound on the memory of registered documents.

use super::{DocumentRef, Manifest, Persisted, sha256};
use crate::{error::Code, settings::TrustedDocuments};

const QUERY: &str = "{ __typename }";

fn hash(text: Option<&str>) -> DocumentRef {
    DocumentRef::Hash {
        hash: sha256(QUERY),
        text: text.map(str::to_owned),
    }
}

fn id(id: &str) -> DocumentRef {
    DocumentRef::Id(id.to_owned())
}

fn answer(persisted: &Persisted, document: DocumentRef) -> Result<String, Code> {
    persisted
        .text(document, true)
        .map(|text| text.to_string())
        .map_err(|error| error.code)
}

#[test]
fn a_registered_document_is_found_by_its_hash_in_any_case() {
    let persisted = Persisted::automatic(10_000);
    assert_eq!(answer(&persisted, hash(None)), Err(Code::PersistedQueryNotFound));
    assert_eq!(persisted.text(hash(Some(QUERY)), true), Ok(QUERY.into()));
    assert_eq!(answer(&persisted, hash(None)), Ok(QUERY.to_owned()));
    let upper = DocumentRef::Hash {
        hash: sha256(QUERY).to_ascii_uppercase(),
        text: None,
    };
    assert_eq!(answer(&persisted, upper), Ok(QUERY.to_owned()));
}

#[test]
fn a_text_with_another_hash_is_neither_run_nor_kept() {
    let persisted = Persisted::automatic(10_000);
    assert_eq!(answer(&persisted, hash(Some("{ other }"))), Err(Code::BadRequest));
    assert_eq!(answer(&persisted, hash(None)), Err(Code::PersistedQueryNotFound));
}

#[test]
fn what_is_off_is_not_supported() {
    let persisted = Persisted::automatic(0);
    assert_eq!(
        answer(&persisted, hash(Some(QUERY))),
        Err(Code::PersistedQueryNotSupported)
    );
    assert_eq!(answer(&persisted, id("a")), Err(Code::PersistedQueryNotSupported));
    assert_eq!(
        answer(&Persisted::automatic(10), id("a")),
        Err(Code::PersistedQueryNotSupported)
    );
}

#[test]
fn registering_without_end_keeps_to_the_bytes_that_are_allowed() {
    let persisted = Persisted::automatic(100_000);
    for number in 0..5_000 {
        let text = format!("{{ a{number}: __typename }}");
        let document = DocumentRef::Hash {
            hash: sha256(&text),
            text: Some(text),
        };
        persisted.text(document, true).expect("it has its hash");
    }
    assert!(
        persisted.registered_bytes() <= 100_000,
        "{}",
        persisted.registered_bytes()
    );
}

#[test]
fn manifests_of_three_tools_are_read() {
    let full = sha256(QUERY);
    for (text, names) in [
        (
            format!(r#"{{"sha256:{full}": "{QUERY}"}}"#),
            vec![full.clone(), format!("sha256:{full}")],
        ),
        (
            format!(r#"{{"0123abcd": "{QUERY}"}}"#),
            vec!["0123abcd".to_owned(), format!("sha256:{full}")],
        ),
        (
            format!(
                r#"{{"format":"apollo-persisted-query-manifest","version":1,"operations":[{}]}}"#,
                format_args!(r#"{{"id":"x","name":"X","type":"query","body":"{QUERY}"}}"#)
            ),
            vec!["x".to_owned(), full.clone()],
        ),
    ] {
        let manifest = Manifest::parse(&text).expect("a manifest");
        for name in names {
            assert_eq!(manifest.get(&name).map(|text| &**text), Some(QUERY), "{name}");
        }
        assert_eq!(manifest.get("other"), None);
    }
}

#[test]
fn a_bad_manifest_is_one_sentence() {
    for (text, reason) in [
        ("", "is not JSON at line 1, column 0"),
        ("[]", "must be a JSON object of hashes to GraphQL documents"),
        (r#"{"a": 1}"#, "must be a JSON object of hashes to GraphQL documents"),
        ("{}", "has no documents"),
        (
            r#"{"operations": [{"id": "a"}]}"#,
            "has an operation without id or body",
        ),
    ] {
        assert_eq!(Manifest::parse(text).expect_err(text), reason);
    }
    assert!(
        Manifest::load("/nowhere/manifest.json".as_ref())
            .expect_err("missing")
            .starts_with("can't read graphql.trusted_documents_file /nowhere/manifest.json: ")
    );
}

#[test]
fn only_trusted_documents_are_run_when_only_they_may_be() {
    let manifest = || Manifest::parse(&format!(r#"{{"known": "{QUERY}"}}"#)).expect("a manifest");
    let allow = Persisted::automatic(0).trusting(manifest(), TrustedDocuments::Allow);
    let only = Persisted::automatic(0).trusting(manifest(), TrustedDocuments::Only);
    for persisted in [&allow, &only] {
        assert_eq!(answer(persisted, id("known")), Ok(QUERY.to_owned()));
        assert_eq!(answer(persisted, id("other")), Err(Code::PersistedQueryNotFound));
        assert_eq!(answer(persisted, hash(None)), Ok(QUERY.to_owned()));
    }
    let text = || DocumentRef::Text("{ other }".to_owned());
    let other = |text: Option<&str>| DocumentRef::Hash {
        hash: sha256("{ other }"),
        text: text.map(str::to_owned),
    };
    assert_eq!(answer(&allow, text()), Ok("{ other }".to_owned()));
    assert_eq!(answer(&only, text()), Err(Code::Forbidden));
    assert_eq!(answer(&only, DocumentRef::Text(QUERY.to_owned())), Err(Code::Forbidden));
    assert_eq!(
        answer(&only, other(Some("{ other }"))),
        Err(Code::PersistedQueryNotFound)
    );
    assert_eq!(answer(&allow, other(None)), Err(Code::PersistedQueryNotFound));
}
