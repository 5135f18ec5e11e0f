//! Parses the constraints of a search.

use async_graphql::resolver_utils::{EnumItem, EnumType};

use super::{
    RestError, codes, date,
    members::{self, Members},
};
use crate::api::rest::parameters::is_plain;
use clientele_core::problem::ProblemCode;
use clientele_domain::client::constraint::{
    Compared, Constraint, Element, LIST, MOST_CONSTRAINTS, MOST_VALUES, Selection,
};

/// Reads `{filterConstraints}`.
///
/// # Errors
/// When the body isn't a JSON object, or a constraint can't be read.
pub fn constraints(body: &str) -> Result<Vec<Constraint>, RestError> {
    let mut unreadable = Vec::new();
    let mut root = Members::root(super::members(body)?, &mut unreadable);
    let most = MOST_CONSTRAINTS + 1;
    let read = root.list(LIST, (most, most), constraint);
    if let Some(problem) = unreadable.into_iter().next() {
        return Err(problem.into());
    }
    let read = read.take().ok_or_else(|| {
        let source = format!("{LIST} is required: send [] to find all clients.");
        RestError::new(codes::INVALID_PARAMETERS, source)
    })?;
    // One that can't be read was refused above.
    Ok(read.into_iter().flatten().collect())
}

fn constraint(mut members: Members<'_, '_>) -> Option<Constraint> {
    let is_custom = |text: &str| match text {
        "NATIVE" => Some(false),
        "CUSTOM" => Some(true),
        _ => None,
    };
    let is_custom = |raw| members::choice(raw, is_custom, "must be NATIVE or CUSTOM.");
    let is_custom = members.value("dataFieldType", is_custom).take().unwrap_or_default();
    let is_client = |raw| members::choice(raw, |text| (text == "CLIENT").then_some(()), "must be CLIENT.");
    members.value("dataItemType", is_client);
    let selection = required(&mut members, "filterSelection")?;
    let compared = match (is_custom, Selection::parse(&selection)) {
        (true, _) => Compared::CustomField(selection),
        (false, Some(selection)) => Compared::Member(selection),
        (false, None) => {
            let known = listed(Selection::items());
            let message = format!(
                "There is no selection {} in this server: send {known}.",
                named(&selection)
            );
            members.refuse_with("filterSelection", ProblemCode::NotAnOption, message);
            return None;
        }
    };
    let element = required(&mut members, "filterElement")?;
    let Some(element) = Element::parse(&element) else {
        let known = listed(Element::items());
        let message = format!("There is no element {}: send {known}.", named(&element));
        members.refuse_with("filterElement", ProblemCode::NotAnOption, message);
        return None;
    };
    let is_time = compared.is_time();
    let readable = |text: String| match date(&text) {
        // Only the day counts.
        Some(date) if is_time => date.0.to_string(),
        _ => text,
    };
    Some(Constraint {
        value: members.value("value", members::custom).take().map(readable),
        second_value: members.value("secondValue", members::custom).take().map(readable),
        values: members.values("values", MOST_VALUES + 1, members::custom),
        compared,
        element,
    })
}

fn required(members: &mut Members<'_, '_>, name: &'static str) -> Option<String> {
    let text = members.text(name).take();
    if text.is_none() {
        members.refuse(name, (ProblemCode::Blank, "is required."));
    }
    text
}

/// The names of all items: "A, B or C".
pub fn listed<T>(items: &[EnumItem<T>]) -> String {
    let names: Vec<&str> = items.iter().map(|item| item.name).collect();
    match names.split_last() {
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A name of the legacy service. Other texts aren't repeated.
fn named(text: &str) -> &str {
    let is_name = text
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit());
    match is_name && is_plain(text) {
        true => text,
        false => "of this name",
    }
}
