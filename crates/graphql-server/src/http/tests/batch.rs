//! Bodies of several requests, at their limit and beyond, and the reports of exceeded limits.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{NEW, post, router, send_to};
use crate::{
    context::{RequestContext, Restriction},
    limits::LimitExceeded,
    settings::GraphqlSettings,
};

/// A context that keeps the limits that its request exceeds, and whether each is only observed.
struct LimitContext(Arc<Mutex<Vec<(&'static str, bool)>>>);

impl RequestContext for LimitContext {
    fn request_id(&self) -> &str {
        "r1"
    }

    fn on_limit_exceeded(&self, excess: LimitExceeded, is_observed: bool) {
        self.0.lock().unwrap().push((excess.limit, is_observed));
    }
}

#[tokio::test]
async fn a_body_of_too_many_requests_is_refused_or_only_observed_and_reported_once() {
    // Those that are only observed end at ten times the limit.
    for (observe_only, requests, most, is_observed) in [
        (false, 3, None, None),
        (false, 4, Some(3), Some(false)),
        (true, 3, None, None),
        (true, 4, None, Some(true)),
        (true, 30, None, Some(true)),
        (true, 31, Some(30), Some(false)),
    ] {
        let what = format!("{requests} requests, observed: {observe_only}");
        let settings = GraphqlSettings {
            batch: 3,
            observe_only,
            ..GraphqlSettings::default()
        };
        let exceeded = Arc::new(Mutex::new(Vec::new()));
        let reported = exceeded.clone();
        let app = router(settings, Duration::from_secs(30), move |_| {
            LimitContext(reported.clone())
        });
        let body = Value::from(vec![json!({ "query": "{ __typename }" }); requests]);

        let (status, _, answer) = send_to(&app, post(NEW, body.to_string())).await;

        match most {
            None => {
                let each = json!({ "data": { "__typename": "Query" } });
                assert_eq!(
                    (status, answer),
                    (StatusCode::OK, Value::from(vec![each; requests])),
                    "{what}"
                );
            }
            Some(most) => {
                let message = format!("The body has {requests} requests, and at most {most} are allowed.");
                assert_eq!(status, StatusCode::BAD_REQUEST, "{what}");
                assert_eq!(answer["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX", "{what}");
                assert_eq!(answer["errors"][0]["message"], message, "{what}");
            }
        }
        let expected: Vec<_> = is_observed.into_iter().map(|is| ("batch", is)).collect();
        assert_eq!(*exceeded.lock().unwrap(), expected, "{what}");
    }
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
async fn restricted_caller_can_send_no_batch() {
    let settings = GraphqlSettings {
        batch: 3,
        ..GraphqlSettings::default()
    };
    let app = router(settings, Duration::from_secs(30), |_| RestrictedContext);
    let allowed = json!({ "query": "mutation { up { a } }" });
    let (_, _, answer) = send_to(&app, post(NEW, allowed.to_string())).await;
    assert_eq!(answer, json!({ "data": { "up": { "a": 1 } } }));
    for count in [1, 2] {
        let body = Value::from(vec![allowed.clone(); count]);
        let (_, _, answer) = send_to(&app, post(NEW, body.to_string())).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{count}");
    }
    let (_, _, answer) = send_to(&app, post(NEW, allowed.to_string())).await;
    assert_eq!(answer, json!({ "data": { "up": { "a": 2 } } }));
}
