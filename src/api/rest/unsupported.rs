//! The answer to a route that this server doesn't have: names the route, and says which ones of the legacy service are
//! left out on purpose.

use axum::http::Method;

/// The parts of the legacy service that this server leaves out, below `/api`.
const OTHER_PARTS: [&str; 22] = [
    "activities",
    "branches",
    "centres",
    "comments",
    "communications",
    "creditarrangements",
    "currencies",
    "documents",
    "glaccounts",
    "gljournalentries",
    "groups",
    "indexratesources",
    "lineofcredit",
    "linesofcredit",
    "loanproducts",
    "loans",
    "organization",
    "savings",
    "savingsproducts",
    "tasks",
    "transactionchannels",
    "users",
];

/// The same, below one client.
const OTHER_PARTS_OF_CLIENT: [&str; 11] = [
    "activities",
    "comments",
    "creditarrangements",
    "documents",
    "groups",
    "linesofcredit",
    "loans",
    "profilepicture",
    "savings",
    "signature",
    "tasks",
];

/// The first path segments of this server's own routes that have further segments.
const OWN_PARTS: [&str; 3] = ["clients", "customfields", "settings"];

/// Says that there is no such route. Of a path, it repeats only names of routes: any other part can be a client's id.
pub fn sentence(method: &Method, path: &str) -> String {
    let mut parts = path
        .strip_prefix("/api")
        .unwrap_or_default()
        .split('/')
        .filter(|part| !part.is_empty());
    let (first, named, below) = (parts.next(), parts.next(), parts.next());
    let known = |list: &[&'static str], part: Option<&str>| {
        let part = part?.to_ascii_lowercase();
        list.iter().copied().find(|known| *known == part)
    };
    if let Some(part) = known(&OTHER_PARTS, first) {
        let rest = if named.is_some() { "/…" } else { "" };
        return format!("There is no route {method} /api/{part}{rest}: this server stores clients only.");
    }
    let own = known(&OWN_PARTS, first).filter(|_| named.is_some());
    if own == Some("clients") {
        if let Some(part) = known(&OTHER_PARTS_OF_CLIENT, below) {
            return format!("There is no route {method} /api/clients/{{id}}/{part}: this server stores clients only.");
        }
        return format!("There is no route {method} of this path below /api/clients/{{id}}.");
    }
    match own {
        Some(part) => format!("There is no route {method} of this path below /api/{part}."),
        None => format!("There is no route {method} of this path below /api."),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::sentence;

    #[test]
    fn a_route_of_another_part_is_named_without_ids() {
        for (path, expected) in [
            (
                "/api/loans",
                "There is no route GET /api/loans: this server stores clients only.",
            ),
            (
                "/api/Savings/ABC123/transactions",
                "There is no route GET /api/savings/…: this server stores clients only.",
            ),
            (
                "/api/clients/ABC123/loans/",
                "There is no route GET /api/clients/{id}/loans: this server stores clients only.",
            ),
            (
                "/api/clients/ABC123/nothing",
                "There is no route GET of this path below /api/clients/{id}.",
            ),
            (
                "/api/Clients//ABC123/custominformation/field/1/more/",
                "There is no route GET of this path below /api/clients/{id}.",
            ),
            (
                "/api/settings/ABC123",
                "There is no route GET of this path below /api/settings.",
            ),
            ("/api/client/ABC123", "There is no route GET of this path below /api."),
            ("/api/ABC123", "There is no route GET of this path below /api."),
            ("/api/CLIENTS", "There is no route GET of this path below /api."),
            ("/api", "There is no route GET of this path below /api."),
            ("/api/%00", "There is no route GET of this path below /api."),
        ] {
            assert_eq!(sentence(&Method::GET, path), expected, "{path}");
        }
    }
}
