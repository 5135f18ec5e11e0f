//! Reads the text of async-graphql's errors. No other module does: these errors have no code, and the path of a wrong
//! value is in their messages only.

use async_graphql::PathSegment;

/// The parts of a message about a value that an enum lacks: all before the value, the argument, and the enum. The enum
/// is empty if it can't be found.
pub(crate) fn unknown_enum_value(message: &str) -> Option<(&str, &str, &str)> {
    let (place, _) = message.split_once(" does not contain the value ")?;
    let named = place.strip_suffix('"');
    let (argument, ty) = named
        .and_then(|place| place.rsplit_once(", enumeration type \""))
        .unwrap_or_default();
    Some((place, argument, ty))
}

/// The name of the type that a value in the document should have.
pub(crate) fn expected_type(message: &str) -> Option<&str> {
    let (_, ty) = message.rsplit_once(", expected type \"")?;
    ty.strip_suffix('"')
}

/// The member that an input object lacks, and the type of the object.
pub(crate) fn unknown_member(message: &str) -> Option<(&str, &str)> {
    let (_, problem) = message.split_once(", unknown field \"")?;
    problem.strip_suffix('"')?.split_once("\" of type \"")
}

/// True if a value passed preparation but not the `parse` of its type. The message repeats the value.
pub(crate) fn is_unparsable_value(message: &str) -> bool {
    message.starts_with("Failed to parse \"") || message.starts_with("Expected input type \"")
}

/// The path of the value that a message of async-graphql is about; empty if it is about something else.
pub(crate) fn input_path(message: &str) -> Vec<PathSegment> {
    if let Some((_, missing)) = message.split_once(" argument \"")
        && let Some((name, _)) = missing.split_once('"')
        && message.starts_with("Field \"")
        && message.ends_with(" is required but not provided")
    {
        return vec![PathSegment::Field(name.to_owned())];
    }
    let of_value = [
        "Invalid value for argument \"",
        "Invalid default value for argument: \"",
    ]
    .into_iter()
    .find_map(|begin| message.strip_prefix(begin)?.split_once('"'));
    let Some((place, problem)) = of_value else {
        return Vec::new();
    };
    // Names don't begin with digits.
    let segment = |text: &str| match text.parse() {
        Ok(index) => PathSegment::Index(index),
        Err(_) => PathSegment::Field(text.to_owned()),
    };
    let member = [", unknown field \"", ", field \""]
        .into_iter()
        .find_map(|begin| Some(problem.strip_prefix(begin)?.split_once('"')?.0));
    place.split('.').chain(member).map(segment).collect()
}
