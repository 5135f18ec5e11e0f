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

/// Says that there is no such route. Of a path, it repeats only names of routes and plain text, never a client's id.
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
    if first.is_some_and(|first| first.eq_ignore_ascii_case("clients"))
        && let Some(part) = known(&OTHER_PARTS_OF_CLIENT, below)
    {
        return format!("There is no route {method} /api/clients/{{id}}/{part}: this server stores clients only.");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'.');
    match path.len() <= 128 && path.bytes().all(plain) {
        true => format!("There is no route {method} {path}."),
        false => "There is no route of this method and path.".to_owned(),
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
            ("/api/nothing/here", "There is no route GET /api/nothing/here."),
            ("/api", "There is no route GET /api."),
            ("/api/%00", "There is no route of this method and path."),
        ] {
            assert_eq!(sentence(&Method::GET, path), expected, "{path}");
        }
    }
}
