//! The kinds of values in requests and answers, each as a JSON Schema and with an example.

use async_graphql::resolver_utils::EnumType;
use serde_json::Value;

use super::json::{Json, object};

/// A JSON object of a request or an answer.
#[derive(Debug)]
pub struct Object {
    pub name: &'static str,
    pub description: &'static str,
    pub side: Side,
    /// Refuses members that aren't described.
    pub is_closed: bool,
    pub members: fn() -> Vec<Member>,
}

/// The use of a value. Bodies accept more than answers have: null for a value to clear, and numbers in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Request,
    Parameter,
    Answer,
}

/// A member of an object, or a parameter.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: &'static str,
    pub kind: Kind,
    pub description: &'static str,
    /// The counterpart in the GraphQL schema, such as `Client.clientId`. Empty if there is none.
    pub graphql: &'static str,
    /// Always in an answer, or required in a request.
    pub is_required: bool,
    /// One of the members of an object of which exactly one must have a value. All of them are texts.
    pub is_alternative: bool,
    /// The limit of a text in characters, or of a list; 0 for none.
    pub most: usize,
    /// Empty for none, and for objects and lists, which consist of those of their members.
    pub example: &'static str,
}

pub const fn member(name: &'static str, kind: Kind, description: &'static str, graphql: &'static str) -> Member {
    Member {
        name,
        kind,
        description,
        graphql,
        is_required: false,
        is_alternative: false,
        most: 0,
        example: "",
    }
}

impl Member {
    pub const fn required(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }

    pub const fn alternative(self) -> Self {
        Self {
            is_alternative: true,
            ..self
        }
    }

    pub const fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    pub const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// The schema with the description and the counterpart in GraphQL.
    pub fn schema(&self, side: Side) -> Json {
        let schema = match (side, self.is_required) {
            // Null counts as absent, or stands for what is set by default.
            (Side::Request, false) => self.kind.or_null(self.kind.schema(side, self.most)),
            _ => self.kind.schema(side, self.most),
        };
        let schema = schema.with_text("description", self.description);
        schema.with_text("x-graphql", self.graphql)
    }

    /// The schema of an object that has this member, with a value other than null.
    fn given(&self) -> Json {
        let text = object([("type", "string".into())]);
        object([
            ("required", [Json::from(self.name)].into_iter().collect()),
            ("properties", object([(self.name, text)])),
        ])
    }

    /// The value in an example of its object. None if the example leaves the member out.
    pub fn value(&self) -> Option<Json> {
        match self.kind {
            Kind::Object(_) => Some(self.kind.example()).filter(|example| !example.is_empty()),
            Kind::List(_) => Some(self.kind.example()),
            Kind::NoList => Some(Json::List(Vec::new())),
            _ if self.example.is_empty() => None,
            Kind::Integer | Kind::Number | Kind::Boolean => {
                Some(serde_json::from_str(self.example).map_or_else(|_| self.example.into(), Json::Value))
            }
            _ => Some(self.example.into()),
        }
    }
}

/// A kind of values.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Text,
    /// The permanent key of something.
    Key,
    /// A time in an answer.
    Timestamp,
    /// A date in a request. Answers have timestamps.
    Date,
    Integer,
    Number,
    Boolean,
    /// One of these texts.
    Choice(fn() -> Vec<&'static str>),
    /// One of these texts, of which a request can also have the other ones.
    ChoiceOr(fn() -> Vec<&'static str>, &'static [&'static str]),
    /// The value of a custom field: a text, or also a number or a boolean in a request.
    Custom,
    /// The selection of a search, or the id of a custom field.
    Selection,
    /// Texts, numbers and booleans.
    Customs,
    Texts,
    Object(&'static Object),
    List(&'static Object),
    /// One object, or a list of at most that many.
    OneOrList(&'static Object, usize),
    /// A list that is always empty.
    NoList,
}

/// The names of an enum.
pub fn names<T: EnumType>() -> Vec<&'static str> {
    T::items().iter().map(|item| item.name).collect()
}

const KEY: &str = "^[0-9A-Za-z]{1,32}$";
const TIMESTAMP: &str = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\+0000$";

impl Kind {
    pub fn schema(self, side: Side, most: usize) -> Json {
        let list = |items: Json| object([("type", "array".into()), ("items", items)]);
        let schema = match self {
            Self::Text | Self::Date | Self::Key | Self::Custom if side == Side::Request => self.sent(),
            Self::Date if side == Side::Parameter => {
                object([("anyOf", [format("date"), format("date-time")].into_iter().collect())])
            }
            Self::Text | Self::Date | Self::Custom => object([("type", "string".into())]),
            Self::Key => object([("type", "string".into()), ("pattern", KEY.into())]),
            Self::Timestamp => object([("type", "string".into()), ("pattern", TIMESTAMP.into())]),
            Self::Integer if side == Side::Request => {
                either(&["integer", "string", "null"]).with("pattern", r"^-?\d+$")
            }
            Self::Integer => object([("type", "integer".into())]),
            Self::Number if side == Side::Request => either(&["number", "string", "null"]),
            Self::Number => object([("type", "number".into())]),
            Self::Boolean => object([("type", "boolean".into())]),
            Self::Choice(names) | Self::ChoiceOr(names, _) if side == Side::Answer => choice(names(), &[], false),
            Self::Choice(names) => choice(names(), &[], side == Side::Request),
            Self::ChoiceOr(names, others) => choice(names(), others, side == Side::Request),
            Self::Selection => {
                let known = object([("$ref", "#/components/schemas/FilterSelection".into())]);
                let forms: Json = [known, object([("type", "string".into())])].into_iter().collect();
                object([("anyOf", forms)])
            }
            Self::Customs => list(Self::Custom.schema(side, 0)),
            Self::Texts => list(object([("type", "string".into())])),
            Self::Object(of) => of.reference(),
            Self::List(of) => list(of.reference()),
            Self::OneOrList(of, most) => {
                let several = list(of.reference()).with("maxItems", most);
                object([("anyOf", [of.reference(), several].into_iter().collect())])
            }
            Self::NoList => list(object([])),
        };
        match (self, most) {
            (_, 0) => schema,
            (Self::List(_) | Self::Customs | Self::Texts, most) => schema.with("maxItems", most),
            (_, most) => schema.with("maxLength", most),
        }
    }

    /// An example of an object or a list.
    pub fn example(self) -> Json {
        match self {
            Self::Object(of) => of.example(),
            Self::List(of) | Self::OneOrList(of, _) => [of.example()]
                .into_iter()
                .filter(|example| !example.is_empty())
                .collect(),
            _ => Json::Object(Vec::new()),
        }
    }

    /// The objects in it, at any depth.
    pub fn collect(self, found: &mut Vec<&'static Object>) {
        if let Self::Object(of) | Self::List(of) | Self::OneOrList(of, _) = self {
            of.collect(found);
        }
    }

    fn or_null(self, schema: Json) -> Json {
        match self {
            Self::Object(_) | Self::List(_) | Self::Customs => {
                let forms: Json = [schema, object([("type", "null".into())])].into_iter().collect();
                object([("anyOf", forms)])
            }
            _ => schema,
        }
    }

    /// The schema of a text or a date in a request.
    fn sent(self) -> Json {
        match self {
            Self::Date => {
                let empty = object([("type", "string".into()), ("maxLength", 0.into())]);
                let null = object([("type", "null".into())]);
                let forms: Json = [format("date"), format("date-time"), empty, null].into_iter().collect();
                object([("anyOf", forms)])
            }
            Self::Custom => either(&["string", "number", "boolean", "null"]),
            _ => either(&["string", "null"]),
        }
    }
}

fn either(types: &[&str]) -> Json {
    let types: Json = types.iter().map(|name| Json::from(*name)).collect();
    object([("type", types)])
}

/// A text of a standard format.
fn format(format: &str) -> Json {
    object([("type", "string".into()), ("format", format.into())])
}

fn choice(names: Vec<&'static str>, others: &[&'static str], or_null: bool) -> Json {
    let values = names.into_iter().chain(others.iter().copied()).map(Json::from);
    let null = or_null.then_some(Json::Value(Value::Null));
    object([("enum", values.chain(null).collect())])
}

impl Object {
    pub fn reference(&self) -> Json {
        object([("$ref", format!("#/components/schemas/{}", self.name).into())])
    }

    pub fn schema(&self) -> Json {
        let members = (self.members)();
        let required: Vec<&Member> = members.iter().filter(|member| member.is_required).collect();
        let schema = object([
            ("type", "object".into()),
            ("description", self.description.into()),
            (
                "properties",
                members
                    .iter()
                    .map(|member| (member.name, member.schema(self.side)))
                    .collect(),
            ),
        ]);
        let schema = match required.is_empty() {
            true => schema,
            false => schema.with(
                "required",
                required
                    .into_iter()
                    .map(|member| Json::from(member.name))
                    .collect::<Json>(),
            ),
        };
        let alternatives = members.iter().filter(|member| member.is_alternative);
        let alternatives: Json = alternatives.map(Member::given).collect();
        let schema = match alternatives.is_empty() {
            true => schema,
            false => schema.with("oneOf", alternatives),
        };
        match self.is_closed {
            true => schema.with("additionalProperties", false),
            false => schema,
        }
    }

    /// The object with the examples of its members.
    pub fn example(&self) -> Json {
        let members = (self.members)();
        members
            .iter()
            .filter_map(|member| Some((member.name, member.value()?)))
            .collect()
    }

    /// The objects in it, at any depth, after itself.
    pub fn collect(&'static self, found: &mut Vec<&'static Self>) {
        if found.iter().any(|known| known.name == self.name) {
            return;
        }
        found.push(self);
        for member in (self.members)() {
            member.kind.collect(found);
        }
    }
}
