//! Input coercion of the specification: checks that a value belongs to an input type, and converts it.

use async_graphql::{
    Name, PathSegment, Value as ConstValue,
    indexmap::IndexMap,
    registry::{MetaEnumValue, MetaInputValue, MetaType, MetaTypeName, Registry},
};

use crate::{
    error::{Code, GraphqlError, MessageWithoutNames},
    suggestion::suggestion,
};

/// A value that isn't of its type, with the path inside the value.
#[derive(Debug, PartialEq)]
pub(super) struct Mismatch {
    /// From the innermost outwards.
    path: Vec<PathSegment>,
    pub message: String,
    /// The message for callers who may not read the schema, if the other one has names from it.
    without_names: Option<String>,
}

impl Mismatch {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            message: message.into(),
            without_names: None,
        }
    }

    /// Adds the message for callers who may not read the schema.
    fn or_without_names(mut self, message: String) -> Self {
        self.without_names = Some(message);
        self
    }

    /// The same, inside a member of an input object.
    pub fn in_member(mut self, name: &str) -> Self {
        self.path.push(PathSegment::Field(clip(name).into_owned()));
        self
    }

    /// The same, inside an element of a list.
    pub fn in_element(mut self, index: usize) -> Self {
        self.path.push(PathSegment::Index(index));
        self
    }

    /// The error `Variable "$input" at "client.gender": …`. Its path begins with `root`, the name of the variable or
    /// of the argument.
    pub fn error(mut self, code: Code, subject: &str, root: &str) -> GraphqlError {
        let segment = |segment: &PathSegment| match segment {
            PathSegment::Field(name) => name.clone(),
            PathSegment::Index(index) => index.to_string(),
        };
        let place: Vec<String> = self.path.iter().rev().map(segment).collect();
        let begin = match place.as_slice() {
            [] => format!("{subject}: "),
            _ => format!("{subject} at \"{}\": ", place.join(".")),
        };
        let without_names = self.without_names.take().map(|message| begin.clone() + &message);
        self.path.push(PathSegment::Field(root.to_owned()));
        self.path.reverse();
        GraphqlError {
            without_names: without_names.map(|message| Box::new(MessageWithoutNames(message))),
            ..GraphqlError::new(code, begin + &self.message).of_input(self.path)
        }
    }
}

/// Converts a value from JSON, or a constant of the document, to the type.
///
/// # Errors
/// The first mismatch inside the value.
pub(super) fn coerce(registry: &Registry, ty: &str, value: ConstValue) -> Result<ConstValue, Mismatch> {
    match (MetaTypeName::create(ty), value) {
        (MetaTypeName::NonNull(inner), ConstValue::Null) => Err(null_refused(inner)),
        (MetaTypeName::NonNull(inner), value) => coerce(registry, inner, value),
        (_, ConstValue::Null) => Ok(ConstValue::Null),
        (MetaTypeName::List(inner), ConstValue::List(mut items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                *item = coerce(registry, inner, std::mem::take(item)).map_err(|e| e.in_element(index))?;
            }
            Ok(ConstValue::List(items))
        }
        (MetaTypeName::List(inner), single) => Ok(ConstValue::List(vec![coerce(registry, inner, single)?])),
        (MetaTypeName::Named(name), value) => match registry.types.get(name) {
            Some(MetaType::InputObject {
                input_fields, oneof, ..
            }) => object(registry, name, input_fields, *oneof, value).map(ConstValue::Object),
            Some(MetaType::Enum { enum_values, .. }) => match value {
                ConstValue::String(given) => of_enum(name, enum_values, &given),
                ConstValue::Enum(given) => of_enum(name, enum_values, &given),
                other => Err(unfit(&other, name)),
            },
            Some(scalar) => leaf(scalar, value),
            None => Err(Mismatch::new(format!("{name} is not a type of this schema."))),
        },
    }
}

fn object(
    registry: &Registry,
    name: &str,
    fields: &IndexMap<String, MetaInputValue>,
    one_of: bool,
    value: ConstValue,
) -> Result<IndexMap<Name, ConstValue>, Mismatch> {
    let ConstValue::Object(mut given) = value else {
        return Err(unfit(&value, name));
    };
    members(
        name,
        fields,
        one_of,
        given
            .iter()
            .map(|(key, value)| (key.as_str(), *value == ConstValue::Null)),
    )?;
    for (key, value) in &mut given {
        let ty = &fields[key.as_str()].ty;
        *value = coerce(registry, ty, std::mem::take(value)).map_err(|e| e.in_member(key))?;
    }
    Ok(given)
}

/// The rules for the fields of an input object as a whole; `given` has each name and whether its value is null.
pub(super) fn members<'a>(
    name: &str,
    fields: &IndexMap<String, MetaInputValue>,
    one_of: bool,
    given: impl Iterator<Item = (&'a str, bool)> + Clone,
) -> Result<(), Mismatch> {
    if let Some((unknown, _)) = given.clone().find(|(key, _)| !fields.contains_key(*key)) {
        let suggestion = suggestion(unknown, fields.keys().map(String::as_str));
        let message = format!("{name} has no field \"{}\".", clip(unknown));
        let mismatch = Mismatch::new(message.clone() + &suggestion).or_without_names(message);
        return Err(mismatch.in_member(unknown));
    }
    if one_of && !given.clone().map(|(_, null)| null).eq([false]) {
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        let message = format!("exactly one of {} must be given, and not as null.", names.join(", "));
        let without_names = format!("exactly one field of {name} must be given, and not as null.");
        return Err(Mismatch::new(message).or_without_names(without_names));
    }
    let missing = fields.values().find(|field| {
        field.default_value.is_none() && field.ty.ends_with('!') && given.clone().all(|(key, _)| key != field.name)
    });
    match missing {
        Some(field) => Err(Mismatch::new("a value is required.").in_member(&field.name)),
        None => Ok(()),
    }
}

pub(super) fn of_enum(
    name: &str,
    values: &IndexMap<String, MetaEnumValue>,
    given: &str,
) -> Result<ConstValue, Mismatch> {
    match values.get_key_value(given) {
        Some((known, _)) => Ok(ConstValue::Enum(Name::new(known))),
        None => {
            let without_names = format!("not a value of {name}.");
            Err(Mismatch::new(not_of_enum(name, values)).or_without_names(without_names))
        }
    }
}

/// The error of a value that an enum lacks. It can be personal data, so it isn't repeated.
pub fn not_of_enum(name: &str, values: &IndexMap<String, MetaEnumValue>) -> String {
    let known: Vec<&str> = values.keys().map(String::as_str).collect();
    format!("not a value of {name}: send {}.", known.join(" or "))
}

/// Converts a scalar: the five of the specification by its rules, others by their own check.
pub(super) fn leaf(ty: &MetaType, value: ConstValue) -> Result<ConstValue, Mismatch> {
    let name = ty.name();
    match (name, value) {
        ("Int", ConstValue::Number(number)) => match integral(&number).map(i32::try_from) {
            Some(Ok(int)) => Ok(ConstValue::from(int)),
            Some(Err(_)) => Err(Mismatch::new("a number that does not fit into an Int of 32 bits.")),
            None => Err(unfit(&ConstValue::Number(number), name)),
        },
        ("Float", value @ ConstValue::Number(_))
        | ("String" | "ID", value @ ConstValue::String(_))
        | ("Boolean", value @ ConstValue::Boolean(_)) => Ok(value),
        ("ID", ConstValue::Number(number)) if !number.is_f64() => Ok(ConstValue::String(number.to_string())),
        // The only number that serde_json keeps as a float although it is written as an integer.
        ("ID", ConstValue::Number(number)) if number.as_f64() == Some(0.0) => Ok(ConstValue::String("0".to_owned())),
        ("Int" | "Float" | "String" | "ID" | "Boolean", other) => Err(unfit(&other, name)),
        (_, other) => match ty {
            MetaType::Scalar {
                is_valid: Some(check), ..
            } if !check(&other) => {
                let sentence = format!("{} that is not a {name}.", shown(&other));
                Err(Mismatch::new(match form(ty) {
                    Some(form) => format!("{sentence} {form}"),
                    None => sentence,
                }))
            }
            MetaType::Scalar { .. } => Ok(other),
            _ => Err(unfit(&other, name)),
        },
    }
}

/// The description of a scalar that isn't one of the specification, which says what form its values have.
pub fn form(scalar: &MetaType) -> Option<&str> {
    match scalar {
        MetaType::Scalar { name, description, .. }
            if !["Int", "Float", "String", "ID", "Boolean"].contains(&name.as_str()) =>
        {
            description.as_deref()
        }
        _ => None,
    }
}

/// JSON has one kind of number, so 3.0 is an integer.
fn integral(number: &async_graphql::Number) -> Option<i64> {
    let from_float = |float: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the range and the fraction are checked first"
        )]
        (float.fract() == 0.0 && float.abs() < 1e15).then_some(float as i64)
    };
    match number.as_u64() {
        Some(large) => Some(i64::try_from(large).unwrap_or(i64::MAX)),
        None => number.as_i64().or_else(|| number.as_f64().and_then(from_float)),
    }
}

pub(super) fn null_refused(expected: &str) -> Mismatch {
    Mismatch::new(format!("null is not accepted, {expected} is expected."))
}

pub(super) fn unfit(value: &ConstValue, expected: &str) -> Mismatch {
    Mismatch::new(format!("{expected} is expected, not {}.", shown(value)))
}

/// The kind of a value, for messages: the value itself can be personal data.
fn shown(value: &ConstValue) -> &'static str {
    match value {
        ConstValue::String(_) => "a string",
        ConstValue::Enum(_) => "a name",
        ConstValue::Number(_) => "a number",
        ConstValue::Boolean(_) => "a boolean",
        ConstValue::Null => "null",
        ConstValue::List(_) => "a list",
        ConstValue::Object(_) => "an object",
        ConstValue::Binary(_) => "bytes",
    }
}

fn clip(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
