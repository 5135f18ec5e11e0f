//! Routes that this server doesn't have, some of them known from the legacy service.

use reqwest::Method;

use super::{create_trevor, refusal};
use crate::harness::TestServer;

on_both!(unknown_route_is_named_without_the_id_of_a_client,);

async fn unknown_route_is_named_without_the_id_of_a_client(server: &TestServer) {
    create_trevor(server).await;
    let before = server.snapshot().await;
    for (method, path, route) in [
        (
            Method::GET,
            "/api/loans",
            "GET /api/loans: this server stores clients only",
        ),
        (
            Method::GET,
            "/api/loans/",
            "GET /api/loans: this server stores clients only",
        ),
        (
            Method::POST,
            "/api/savings/ABC1",
            "POST /api/savings/…: this server stores clients only",
        ),
        (
            Method::GET,
            "/api/groups",
            "GET /api/groups: this server stores clients only",
        ),
        (
            Method::GET,
            "/api/branches?limit=1",
            "GET /api/branches: this server stores clients only",
        ),
        (
            Method::GET,
            "/api/tasks",
            "GET /api/tasks: this server stores clients only",
        ),
        (
            Method::GET,
            "/api/clients/<id 1>/loans",
            "GET /api/clients/{id}/loans: this server stores clients only",
        ),
        (
            Method::DELETE,
            "/api/clients/<key 1>/documents/7/",
            "DELETE /api/clients/{id}/documents: this server stores clients only",
        ),
        (
            Method::POST,
            "/api/clients/<id 1>/comments",
            "POST /api/clients/{id}/comments: this server stores clients only",
        ),
        (
            Method::GET,
            "/api/clients/<id 1>/activities",
            "GET /api/clients/{id}/activities: this server stores clients only",
        ),
        (
            Method::GET,
            "/api/clients/<id 1>/nothing",
            "GET of this path below /api/clients/{id}",
        ),
        (
            Method::DELETE,
            "/api/clients/<key 1>/custominformation/a/0/<id 1>/",
            "DELETE of this path below /api/clients/{id}",
        ),
        (Method::GET, "/api/client/<id 1>", "GET of this path below /api"),
        (Method::POST, "/api/<id 1>", "POST of this path below /api"),
        (
            Method::GET,
            "/api/settings/<id 1>",
            "GET of this path below /api/settings",
        ),
        (Method::GET, "/api/nothing", "GET of this path below /api"),
    ] {
        let answer = server.send(server.request(method, path)).await;
        let source = format!("There is no route {route}.");
        answer.is(404, refusal(3, "INVALID_API_OPERATION", &source));
    }
    assert_eq!(server.snapshot().await, before);
}
