//! Calls with chosen rights: a layer outside the router sets the caller from a header. A real server has no such
//! layer.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use clientele::caller::{Api, Caller, CallerKind, Rights};

/// Carries the number of a caller.
pub const CALLER: &str = "test-caller";

/// The callers of one server, by number.
#[derive(Clone, Debug, Default)]
pub struct Callers(Arc<Mutex<Vec<Caller>>>);

impl Callers {
    /// The number of the caller with these rights: equal rights are one caller.
    pub fn add(&self, rights: &Rights) -> usize {
        let mut callers = self.0.lock().expect("no test has panicked in here");
        if let Some(number) = callers.iter().position(|caller| *caller.rights == *rights) {
            return number;
        }
        let number = callers.len();
        let id: Arc<str> = format!("caller{number}").into();
        callers.push(Caller {
            // Callers of an issuer need no stored row.
            kind: CallerKind::Issuer,
            id: id.clone(),
            name: id,
            rights: Arc::new(rights.clone()),
            ..Caller::operator()
        });
        number
    }

    pub fn known_to(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), introduce))
    }
}

async fn introduce(State(Callers(callers)): State<Callers>, mut request: Request, next: Next) -> Response {
    let number = request
        .headers()
        .get(CALLER)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if let Some(number) = number {
        let caller = callers.lock().expect("no test has panicked in here")[number].clone();
        let door = match request.uri().path().starts_with("/graphql") {
            true => Api::Graphql,
            false => Api::Rest,
        };
        request.extensions_mut().insert(Caller { api: door, ..caller });
    }
    next.run(request).await
}
