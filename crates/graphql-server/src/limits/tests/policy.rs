//! Whose limits hold, and what happens beyond one that is only observed.

use async_graphql::{Data, Variables};
use serde_json::Value;

use super::limits;
use crate::{
    server::GraphqlServer,
    settings::{GraphqlSettings, RoleLimits},
    tests::{AUTHENTICATED, Mutation, Query, TestContext, server},
};

/// Codes of the errors of one request, from a server that has answered others.
pub(super) async fn codes(server: &GraphqlServer<Query, Mutation>, query: &str, context: &TestContext) -> Vec<String> {
    let answer = server
        .execute(query, None, Variables::default(), Data::default(), context)
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
        let server = server(limits(|l| l.roles = roles.into()));
        let of = |role| TestContext { role, ..AUTHENTICATED };
        for _ in 0..2 {
            assert!(codes(&server, query, &of(Some("fits"))).await.is_empty(), "{query}");
            assert_eq!(
                codes(&server, query, &of(Some("tight"))).await,
                ["QUERY_TOO_COMPLEX"],
                "{query}"
            );
            for general in [None, Some("unknown")] {
                assert!(codes(&server, query, &of(general)).await.is_empty(), "{query}");
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
    let server = server(limits(|l| {
        l.batch = 3;
        l.roles = [("many".to_owned(), of(5)), ("one".to_owned(), of(1))].into();
    }));
    for (role, most) in [(None, 3), (Some("unknown"), 3), (Some("many"), 5), (Some("one"), 1)] {
        let context = TestContext { role, ..AUTHENTICATED };
        assert_eq!(server.batch_within(most, 0, &context), Ok(()), "{role:?}");
        let error = server.batch_within(most + 1, 0, &context).unwrap_err();
        let found = most + 1;
        assert_eq!(
            error.message,
            format!("The body has {found} requests, and at most {most} are allowed.")
        );
    }
    // Before the caller is known, a body can have as many requests as the widest limit of any role.
    assert_eq!(server.largest_batch(), 5);
}

#[tokio::test]
async fn a_role_may_have_more_than_the_general_limits() {
    let role = RoleLimits {
        depth: Some(3),
        ..RoleLimits::default()
    };
    let server = server(limits(|l| {
        l.depth = 2;
        l.roles.insert("deep".to_owned(), role);
    }));
    let query = "{ person { friends { name } } }";
    assert_eq!(codes(&server, query, &AUTHENTICATED).await, ["QUERY_TOO_COMPLEX"]);
    let deep = TestContext {
        role: Some("deep"),
        ..AUTHENTICATED
    };
    assert!(codes(&server, query, &deep).await.is_empty());
    assert_eq!(codes(&server, query, &AUTHENTICATED).await, ["QUERY_TOO_COMPLEX"]);
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
    let directives = |count: usize| format!("{{ person {{ {} }} }}", "name @include(if: true) ".repeat(count));
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
        let server = server(limits(|l| {
            l.observe_only = true;
            set(l);
        }));
        let message = async |query: &str| -> Option<String> {
            let answer = server
                .execute(query, None, Variables::default(), Data::default(), &AUTHENTICATED)
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
