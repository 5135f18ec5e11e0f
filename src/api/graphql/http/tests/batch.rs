//! Bodies of several requests, at their limit and beyond, and what is counted of them.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{NEW, means, post, router, send_to};
use crate::api::{
    graphql::{settings::GraphqlSettings, toy::counted},
    metrics::ApiMetrics,
};

#[tokio::test]
async fn a_body_of_too_many_requests_is_refused_or_only_observed_and_counted_once() {
    // Those that are only observed end at ten times the limit.
    for (observe_only, requests, most, outcome) in [
        (false, 3, None, None),
        (false, 4, Some(3), Some("refused")),
        (true, 3, None, None),
        (true, 4, None, Some("observed")),
        (true, 30, None, Some("observed")),
        (true, 31, Some(30), Some("refused")),
    ] {
        let what = format!("{requests} requests, observed: {observe_only}");
        let settings = GraphqlSettings {
            batch: 3,
            observe_only,
            ..GraphqlSettings::default()
        };
        let metrics = ApiMetrics::default();
        let door = Arc::new(counted(settings, metrics.clone()));
        let app = router(door, means(Duration::from_secs(30)), |_, _, _| Ok(()));
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
        let line =
            |outcome| format!("clientele_graphql_limit_exceeded_total{{limit=\"batch\",outcome=\"{outcome}\"}} 1");
        let text = metrics.text();
        let of_limit = |line: &&str| line.starts_with("clientele_graphql_limit_exceeded_total{");
        let lines: Vec<&str> = text.lines().filter(of_limit).collect();
        assert_eq!(lines, outcome.map(line).into_iter().collect::<Vec<_>>(), "{what}");
    }
}
