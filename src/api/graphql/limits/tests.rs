//! Each limit at its value and one beyond, and the largest requests that have to pass.

mod copying;

use async_graphql::{Data, Variables};
use serde_json::{Value, json};

use crate::api::graphql::{
    door::Asker,
    settings::{GraphqlSettings, Introspection, RoleLimits},
    toy::{ANYBODY, ask_with, data, door},
};

/// Asserts that `query` passes with `fits` and is refused with `tight`, for the reason given.
async fn at_and_beyond(query: &str, fits: GraphqlSettings, tight: GraphqlSettings, reason: &str) {
    let answer = async |limits| -> Value {
        serde_json::from_slice(&ask_with(limits, query, json!({})).await.body.to_vec()).unwrap()
    };
    let within = answer(fits).await;
    assert!(within.get("errors").is_none(), "{within}");
    let beyond = answer(tight).await;
    assert_eq!(beyond["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX");
    assert_eq!(beyond["errors"][0]["message"], reason);
}

fn limits(change: impl FnOnce(&mut GraphqlSettings)) -> GraphqlSettings {
    let mut limits = GraphqlSettings::default();
    change(&mut limits);
    limits
}

#[tokio::test]
async fn depth_counts_fields_not_fragments() {
    let query = "{ ...A } fragment A on Query { person { ... { friends { name } } } }";
    let reason = "The document has 3 levels of fields, and at most 2 are allowed.";
    at_and_beyond(query, limits(|l| l.depth = 3), limits(|l| l.depth = 2), reason).await;
}

#[tokio::test]
async fn aliases_are_counted_where_they_would_be_answered() {
    let query = "{ a: __typename person { ...F } } fragment F on Person { b: name friends { ...G } } fragment G on Person { b: name }";
    let reason = "The document has 3 aliases, and at most 2 are allowed.";
    at_and_beyond(query, limits(|l| l.aliases = 3), limits(|l| l.aliases = 2), reason).await;
}

#[tokio::test]
async fn an_object_of_several_possible_types_counts_as_the_dearest() {
    let query = "{ nodes { a: id ... on Person { b: name c: name } ... on Place { d: city } } }";
    let reason = "The document has 3 aliases, and at most 2 are allowed.";
    at_and_beyond(query, limits(|l| l.aliases = 3), limits(|l| l.aliases = 2), reason).await;
}

#[tokio::test]
async fn fields_of_the_root_are_limited() {
    let query = "{ a: __typename ... { b: __typename c: __typename } }";
    let reason = "The document has 3 fields of the root, and at most 2 are allowed.";
    at_and_beyond(
        query,
        limits(|l| l.root_fields = 3),
        limits(|l| l.root_fields = 2),
        reason,
    )
    .await;
}

#[tokio::test]
async fn a_page_multiplies_what_is_below_it() {
    let query = "{ person { friends(first: 10) { id name } } }";
    let reason = "The document costs 22, and at most 21 is allowed. Ask for fewer fields or smaller pages.";
    at_and_beyond(
        query,
        limits(|l| l.complexity = 22),
        limits(|l| l.complexity = 21),
        reason,
    )
    .await;
}

#[tokio::test]
async fn a_huge_page_does_not_overflow() {
    let body = ask_with(
        GraphqlSettings::default(),
        "query($n: Int) { person { friends(first: $n) { friends(first: $n) { friends(first: $n) { name } } } } }",
        json!({"n": 2_147_483_647}),
    )
    .await
    .body;
    assert!(String::from_utf8(body.to_vec()).unwrap().contains("QUERY_TOO_COMPLEX"));
}

#[tokio::test]
async fn what_a_condition_leaves_out_costs_nothing() {
    let query = "{ person { friends(first: 100000) @skip(if: true) { id } name } }";
    assert_eq!(data(query).await, r#"{"data":{"person":{"name":"Ada"}}}"#);
}

#[tokio::test]
async fn the_largest_upsert_passes_as_literals() {
    // 1,000 values with two members and 200 documents with six, each member a name, a colon and a value.
    let inner = format!("{{{}}}", ["email: \"x\"", "age: 1", "rank: 2"].join(", "));
    let values = format!("{{email: \"x\", inner: {inner}}}");
    let query = format!(
        "{{ numbers(list: [{}]) {} }}",
        "1, ".repeat(8000),
        (0..8)
            .map(|n| format!("a{n}: seen(input: {values}) "))
            .collect::<String>()
    );
    assert!(!data(&query).await.contains("errors"));
    let tokens: usize = 1000 * 8 + 200 * 20 + 200;
    assert!(tokens < GraphqlSettings::default().tokens);
}

#[tokio::test]
async fn a_tool_may_ask_for_the_whole_schema() {
    let reference = (0..9).fold("name".to_string(), |below, _| format!("kind name ofType {{ {below} }}"));
    let query = format!(
        "{{ __schema {{ queryType {{ name }} types {{ ...T }} directives {{ name args {{ ...V }} }} }} }}
        fragment T on __Type {{ kind name fields(includeDeprecated: true) {{ name args {{ ...V }} type {{ ...R }} }} inputFields {{ ...V }} interfaces {{ ...R }} possibleTypes {{ ...R }} enumValues {{ name }} }}
        fragment V on __InputValue {{ name defaultValue type {{ ...R }} }}
        fragment R on __Type {{ {reference} }}"
    );
    assert!(!data(&query).await.contains("errors"));
}

#[test]
fn settings_have_defaults_and_no_unknown_keys() {
    let read = |value| serde_json::from_value::<GraphqlSettings>(value);
    assert_eq!(read(json!({})).unwrap(), GraphqlSettings::default());
    assert_eq!(read(json!({"depth": 3})).unwrap().depth, 3);
    assert!(read(json!({"dept": 3})).is_err());
}

#[tokio::test]
async fn tokens_and_directives_are_limited() {
    let reason = "The document has 5 tokens, and at most 4 are allowed.";
    let (fits, tight) = (limits(|l| l.tokens = 5), limits(|l| l.tokens = 4));
    at_and_beyond("{ a: __typename }", fits, tight, reason).await;
    let query = "{ __typename @include(if: true) @skip(if: false) }";
    let reason = "The document has 2 directives, and at most 1 are allowed.";
    at_and_beyond(
        query,
        limits(|l| l.directives = 2),
        limits(|l| l.directives = 1),
        reason,
    )
    .await;
}

#[tokio::test]
async fn a_list_of_ids_counts_each() {
    let query = "{ many(ids: [1, 2, 3]) { name } }";
    let reason = "The document costs 4, and at most 3 is allowed. Ask for fewer fields or smaller pages.";
    at_and_beyond(
        query,
        limits(|l| l.complexity = 4),
        limits(|l| l.complexity = 3),
        reason,
    )
    .await;
}

/// Codes of the errors of one request, from a door that has answered others.
async fn codes(
    door: &crate::api::graphql::door::Door<crate::api::graphql::toy::Query, crate::api::graphql::toy::Mutation>,
    query: &str,
    asker: &Asker<'_>,
) -> Vec<String> {
    let answer = door
        .execute(query, None, Variables::default(), Data::default(), asker)
        .await;
    let body: Value = serde_json::from_slice(&answer.body.to_vec()).unwrap();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    errors
        .iter()
        .map(|error| error["extensions"]["code"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn each_role_has_its_own_limits_also_for_documents_that_another_has_sent_before() {
    type Set = fn(&mut RoleLimits, usize);
    let cases: [(&str, usize, Set); 6] = [
        ("{ a: __typename }", 5, |l, n| l.tokens = Some(n)),
        ("{ __typename @include(if: true) @skip(if: false) }", 2, |l, n| {
            l.directives = Some(n);
        }),
        ("{ person { friends { name } } }", 3, |l, n| l.depth = Some(n)),
        ("{ a: __typename b: __typename }", 2, |l, n| l.aliases = Some(n)),
        ("{ a: __typename b: __typename }", 2, |l, n| l.root_fields = Some(n)),
        ("{ person { friends(first: 10) { name } } }", 12, |l, n| {
            l.complexity = Some(n);
        }),
    ];
    for (query, size, set) in cases {
        let (mut fits, mut tight) = (RoleLimits::default(), RoleLimits::default());
        set(&mut fits, size);
        set(&mut tight, size - 1);
        let roles = [("fits".to_owned(), fits), ("tight".to_owned(), tight)];
        let door = door(limits(|l| l.roles = roles.into()));
        let of = |role| Asker { role, ..ANYBODY };
        for _ in 0..2 {
            assert!(codes(&door, query, &of(Some("fits"))).await.is_empty(), "{query}");
            assert_eq!(
                codes(&door, query, &of(Some("tight"))).await,
                ["QUERY_TOO_COMPLEX"],
                "{query}"
            );
            for general in [None, Some("unknown")] {
                assert!(codes(&door, query, &of(general)).await.is_empty(), "{query}");
            }
        }
    }
}

#[test]
fn a_role_may_send_more_requests_at_once_or_fewer() {
    let of = |batch| RoleLimits {
        batch: Some(batch),
        ..RoleLimits::default()
    };
    let door = door(limits(|l| {
        l.batch = 3;
        l.roles = [("many".to_owned(), of(5)), ("one".to_owned(), of(1))].into();
    }));
    for (role, most) in [(None, 3), (Some("unknown"), 3), (Some("many"), 5), (Some("one"), 1)] {
        let asker = Asker { role, ..ANYBODY };
        assert_eq!(door.batch_within(most, 0, &asker), Ok(()), "{role:?}");
        let fault = door.batch_within(most + 1, 0, &asker).unwrap_err();
        let found = most + 1;
        assert_eq!(
            fault.message,
            format!("The body has {found} requests, and at most {most} are allowed.")
        );
    }
    // Before it is known who asks, a body may have as many as anybody's.
    assert_eq!(door.largest_batch(), 5);
}

#[tokio::test]
async fn a_role_may_have_more_than_the_general_limits() {
    let role = RoleLimits {
        depth: Some(3),
        ..RoleLimits::default()
    };
    let door = door(limits(|l| {
        l.depth = 2;
        l.roles.insert("deep".to_owned(), role);
    }));
    let query = "{ person { friends { name } } }";
    assert_eq!(codes(&door, query, &ANYBODY).await, ["QUERY_TOO_COMPLEX"]);
    let deep = Asker {
        role: Some("deep"),
        ..ANYBODY
    };
    assert!(codes(&door, query, &deep).await.is_empty());
    assert_eq!(codes(&door, query, &ANYBODY).await, ["QUERY_TOO_COMPLEX"]);
}

#[tokio::test]
async fn what_is_only_observed_is_answered_up_to_ten_times_the_limit() {
    type Set = fn(&mut GraphqlSettings);
    let tiny: [Set; 5] = [
        |l| l.tokens = 1,
        |l| l.directives = 1,
        |l| l.depth = 1,
        |l| l.aliases = 1,
        |l| {
            l.root_fields = 1;
        },
    ];
    let cheap: Set = |l| l.complexity = 2;
    let fields = |count: usize| -> String {
        let fields: Vec<String> = (0..count).map(|n| format!("a{n}: __typename")).collect();
        format!("{{ {} }}", fields.join(" "))
    };
    let deep = |levels: usize| {
        let inner = (3..levels).fold("name".to_owned(), |below, _| format!("friends {{ {below} }}"));
        format!("{{ person {{ friends {{ {inner} }} }} }}")
    };
    let directives = |count: usize| format!("{{ person {{ name {} }} }}", "@include(if: true) ".repeat(count));
    let page = |size: usize| format!("{{ person {{ friends(first: {size}) {{ name }} }} }}");
    // Two fields of three tokens, and brackets.
    let named = |more: usize| format!("{{ a:__typename b:__typename {}}}", "__typename ".repeat(more));
    let [tokens, directive, depth, alias, root] = tiny;
    for (set, within, beyond, found) in [
        (tokens, named(2), named(3), "11 tokens"),
        (directive, directives(10), directives(11), "11 directives"),
        (depth, deep(10), deep(11), "11 levels of fields"),
        (alias, fields(10), fields(11), "11 aliases"),
        (root, fields(10), fields(11), "11 fields of the root"),
        (cheap, page(18), page(19), "21"),
    ] {
        let door = door(limits(|l| {
            l.observe_only = true;
            set(l);
        }));
        let message = async |query: &str| -> Option<String> {
            let answer = door
                .execute(query, None, Variables::default(), Data::default(), &ANYBODY)
                .await;
            let body: Value = serde_json::from_slice(&answer.body.to_vec()).unwrap();
            let error = body["errors"].get(0)?;
            assert_eq!(error["extensions"]["code"], "QUERY_TOO_COMPLEX", "{body}");
            Some(error["message"].as_str().unwrap().to_owned())
        };
        assert_eq!(message(&within).await, None, "{within}");
        let message = message(&beyond).await.expect("it is refused");
        assert!(message.contains(found), "{message}");
    }
}

#[tokio::test]
async fn the_schema_is_shown_to_whom_it_may_be() {
    let stranger = Asker {
        signed_in: false,
        ..ANYBODY
    };
    for (who, asker, shown) in [
        (Introspection::SignedIn, ANYBODY, true),
        (Introspection::SignedIn, stranger, false),
        (Introspection::Everyone, stranger, true),
        (Introspection::Nobody, ANYBODY, false),
    ] {
        let door = door(limits(|l| l.introspection = who));
        for query in [
            "{ __schema { queryType { name } } }",
            "{ a: __type(name: \"Person\") { name } }",
        ] {
            let found = codes(&door, query, &asker).await;
            assert_eq!(found.is_empty(), shown, "{who:?} {query} {found:?}");
            assert!(shown || found == ["FORBIDDEN"]);
        }
        assert!(
            codes(&door, "{ __typename person { __typename } }", &asker)
                .await
                .is_empty()
        );
        let misspelt = door.execute("{ persn { id } }", None, Variables::default(), Data::default(), &asker);
        let body = String::from_utf8(misspelt.await.body.to_vec()).unwrap();
        assert!(body.contains("Unknown field"), "{body}");
        assert_eq!(body.contains("Did you mean"), shown, "{body}");
    }
}

#[tokio::test]
async fn an_id_costs_also_where_nothing_is_asked_for() {
    let query = "{ many(ids: [1, 2, 3]) { name @skip(if: true) } }";
    let reason = "The document costs 4, and at most 3 is allowed. Ask for fewer fields or smaller pages.";
    at_and_beyond(
        query,
        limits(|l| l.complexity = 4),
        limits(|l| l.complexity = 3),
        reason,
    )
    .await;
}
