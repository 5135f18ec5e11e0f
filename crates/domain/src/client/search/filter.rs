//! Filters a list of clients. All members of a filter must match.

mod conditions;

use async_graphql::{InputObject, OneofObject};

use super::folding::LONGEST_TEXT;
use crate::{
    caller::Rights,
    definitions::{Definitions, Kind},
    enums::ClientState,
};
use clientele_core::{
    path,
    problem::{Message, Problem, ProblemCode, Step},
    scalar::{Date, Decimal},
};
use clientele_storage::paging::DateTimeRange;

/// Limit of the filters and the conditions on custom fields in a filter, itself included.
pub const MOST_FILTERS: usize = 50;
/// Limit of the levels of a filter: 1 without `and`, `or` and `not`.
pub const MOST_LEVELS: usize = 5;

/// Limits a list of clients: all given fields must match. Text is compared exactly, by code point, unless a field says
/// otherwise. A text that is compared without regard to case has at most 255 characters. A filter has at most 5 levels,
/// and at most 50 filters and conditions on custom fields in all.
#[derive(InputObject, Clone, Debug, Default)]
pub struct ClientFilter {
    /// Clients in one of these states.
    pub states: Option<Vec<ClientState>>,
    /// Clients whose first name begins with this text.
    pub first_name_starts_with: Option<String>,
    /// Clients whose last name begins with this text.
    pub last_name_starts_with: Option<String>,
    /// Clients by their first name, without regard to case and accents.
    pub first_name: Option<NameFilter>,
    /// Clients by their last name, without regard to case and accents.
    pub last_name: Option<NameFilter>,
    /// Clients born on this day.
    pub birth_date: Option<Date>,
    /// Clients born in this range of days.
    pub born: Option<DateRange>,
    /// Clients with this e-mail address.
    pub email_address: Option<String>,
    /// Clients with this e-mail address, without regard to case and accents.
    pub email: Option<String>,
    /// Clients with this home or mobile phone number, written as it is stored.
    pub phone: Option<String>,
    /// Clients with an identification document of this number.
    pub document_id: Option<String>,
    /// Clients whose address is in this city, without regard to case and accents.
    pub city: Option<String>,
    /// Clients whose address is in this country, without regard to case and accents.
    pub country: Option<String>,
    /// Clients of the role with this ID.
    pub client_role_id: Option<String>,
    /// Clients of the branch with this key.
    pub assigned_branch_key: Option<String>,
    /// Clients of the centre with this key.
    pub assigned_centre_key: Option<String>,
    /// Clients of the user with this key.
    pub assigned_user_key: Option<String>,
    /// Clients with this value for a custom field. You must be allowed to view its values.
    pub custom_field: Option<CustomFieldFilter>,
    /// Clients whose custom field values meet all these conditions. You must be allowed to view the values.
    pub custom_fields: Option<Vec<CustomFieldCondition>>,
    /// Clients created in this range of time.
    pub created_at: Option<DateTimeRange>,
    /// Clients last changed in this range of time.
    pub updated_at: Option<DateTimeRange>,
    /// Clients that match all these filters.
    pub and: Option<Vec<ClientFilter>>,
    /// Clients that match at least one of these filters; none if the list is empty.
    pub or: Option<Vec<ClientFilter>>,
    /// Clients that don't match this filter.
    pub not: Option<Box<ClientFilter>>,
    /// Conditions that only the legacy route has.
    #[graphql(skip)]
    pub exactly: Exactly,
}

/// A name, compared without regard to case and accents, by exactly one of these fields.
#[derive(OneofObject, Clone, Debug)]
pub enum NameFilter {
    /// The whole name.
    Equals(String),
    /// The beginning of the name.
    StartsWith(String),
}

/// A range of days. Without `from` it has no start, without `to` no end.
#[derive(InputObject, Copy, Clone, Debug)]
pub struct DateRange {
    /// The first day that matches.
    pub from: Option<Date>,
    /// The last day that matches.
    pub to: Option<Date>,
}

/// A range of numbers. Without `from` it has no start, without `to` no end.
#[derive(InputObject, Clone, Debug)]
pub struct NumberRange {
    /// The smallest number that matches.
    pub from: Option<Decimal>,
    /// The greatest number that matches.
    pub to: Option<Decimal>,
}

/// A value of a custom field.
#[derive(InputObject, Clone, Debug)]
pub struct CustomFieldFilter {
    /// The ID of the custom field.
    pub field_id: String,
    /// The value, in any form that an input can have; for a link, the key of the linked object.
    pub value: String,
}

/// A condition on the values of a custom field. In a GROUPED set, one of the client's values of the field must meet
/// it.
#[derive(InputObject, Clone, Debug)]
pub struct CustomFieldCondition {
    /// The ID of the custom field.
    pub field_id: String,
    /// The condition.
    pub value: ValueFilter,
}

/// A condition on a value of a custom field, by exactly one of these fields.
#[derive(OneofObject, Clone, Debug)]
pub enum ValueFilter {
    /// The value, in any form that an input can have; for a link, the key of the linked object.
    Equals(String),
    /// Only for a field of the type NUMBER.
    Numbers(NumberRange),
    /// Only for a field of the type DATE.
    Dates(DateRange),
}

/// Members that must have exactly these values.
#[derive(Clone, Debug, Default)]
pub struct Exactly {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

impl ClientFilter {
    /// Returns true if its conditions depend on definitions.
    pub(super) fn needs_definitions(&self) -> bool {
        self.custom_field.is_some()
            || self.custom_fields.as_ref().is_some_and(|fields| !fields.is_empty())
            || self.client_role_id.is_some()
            || self.nested().any(|(_, filter)| filter.needs_definitions())
    }

    /// The filters of `and`, `or` and `not`, with their paths.
    fn nested(&self) -> impl Iterator<Item = (Vec<Step>, &Self)> {
        let lists = [("and", &self.and), ("or", &self.or)];
        let lists = lists.into_iter().flat_map(|(name, list)| {
            let filters = list.iter().flatten().enumerate();
            filters.map(move |(at, filter)| (path![name, at].to_vec(), filter))
        });
        lists.chain(self.not.iter().map(|filter| (path!["not"].to_vec(), &**filter)))
    }

    /// Refuses a filter that is too large.
    pub(super) fn too_large(&self) -> Option<Problem> {
        let refuse = |message| Some(Problem::new(ProblemCode::TooMany, path!["filter"], message));
        // The levels first: they bound the recursion.
        if self.levels() > MOST_LEVELS {
            return refuse(format!(
                "filter must have at most {MOST_LEVELS} levels of and, or and not."
            ));
        }
        if self.size() > MOST_FILTERS {
            return refuse(format!(
                "filter must have at most {MOST_FILTERS} filters and conditions on custom fields."
            ));
        }
        Some(self.too_long()?.below(path!["filter"]))
    }

    /// Refuses a text that is folded and longer than stored ones. Folded texts are cut: it could equal others.
    fn too_long(&self) -> Option<Problem> {
        let names = [("firstName", &self.first_name), ("lastName", &self.last_name)];
        let names = names.into_iter().filter_map(|(member, name)| match name.as_ref()? {
            NameFilter::Equals(text) => Some((path![member, "equals"].to_vec(), text)),
            NameFilter::StartsWith(text) => Some((path![member, "startsWith"].to_vec(), text)),
        });
        let texts = [("email", &self.email), ("city", &self.city), ("country", &self.country)];
        let texts = texts.into_iter();
        let texts = texts.filter_map(|(member, text)| Some((path![member].to_vec(), text.as_ref()?)));
        let mut texts = names.chain(texts);
        let own = texts.find(|(_, text)| text.chars().nth(LONGEST_TEXT).is_some());
        let own = own.map(|(path, _)| {
            let member = path.last().map(ToString::to_string).unwrap_or_default();
            let message = format!("{member} must have at most {LONGEST_TEXT} characters.");
            Problem::new(ProblemCode::TooLong, path, message)
        });
        own.or_else(|| {
            self.nested()
                .find_map(|(path, filter)| Some(filter.too_long()?.below(path)))
        })
    }

    fn levels(&self) -> usize {
        1 + self
            .nested()
            .map(|(_, filter)| filter.levels())
            .max()
            .unwrap_or_default()
    }

    fn size(&self) -> usize {
        let own = 1 + self.custom_fields.as_ref().map_or(0, Vec::len);
        own + self.nested().map(|(_, filter)| filter.size()).sum::<usize>()
    }

    /// The custom fields that it names, with the paths of their ids.
    fn named_fields(&self) -> Vec<(Vec<Step>, &str, Option<&ValueFilter>)> {
        let single = self.custom_field.iter();
        let single = single.map(|field| (path!["customField", "fieldId"].to_vec(), &*field.field_id, None));
        let several = self.custom_fields.iter().flatten().enumerate();
        let several = several.map(|(at, field)| {
            (
                path!["customFields", at, "fieldId"].to_vec(),
                &*field.field_id,
                Some(&field.value),
            )
        });
        let mut fields: Vec<_> = single.chain(several).collect();
        for (path, filter) in self.nested() {
            for (rest, id, value) in filter.named_fields() {
                fields.push(([&path[..], &rest].concat(), id, value));
            }
        }
        fields
    }

    /// The roles that it names, with the paths of their ids.
    fn named_roles(&self) -> Vec<(Vec<Step>, &str)> {
        let own = self.client_role_id.iter();
        let mut roles: Vec<_> = own.map(|id| (path!["clientRoleId"].to_vec(), &**id)).collect();
        for (path, filter) in self.nested() {
            for (rest, id) in filter.named_roles() {
                roles.push(([&path[..], &rest].concat(), id));
            }
        }
        roles
    }

    /// Refuses a filter by a custom field whose values the caller may not see, wherever it occurs, or by a definition
    /// that doesn't exist, or by values of another type.
    pub(super) fn problem(&self, rights: &Rights, definitions: &Definitions) -> Option<Problem> {
        let problem =
            |code, path: Vec<Step>, message: Message| Some(Problem::new(code, path, message).below(path!["filter"]));
        for (path, id, _) in self.named_fields() {
            let field = definitions.field(id);
            if field.is_some_and(|field| !field.is_shown(rights)) {
                let message = "You may not see the values of this custom field, nor look clients up by them.";
                return problem(ProblemCode::Forbidden, path, message.into());
            }
        }
        for (mut path, id, value) in self.named_fields() {
            let Some(field) = definitions.field(id) else {
                let message = Message::from("There is no custom field with this id").listed_by("customFieldSets");
                return problem(ProblemCode::NotFound, path, message);
            };
            let (member, kind) = match value {
                Some(ValueFilter::Numbers(_)) => ("numbers", Kind::Number),
                Some(ValueFilter::Dates(_)) => ("dates", Kind::Date),
                Some(ValueFilter::Equals(_)) | None => continue,
            };
            if field.kind != kind {
                path.pop();
                path.extend(path!["value", member]);
                let message = format!("{member} needs a custom field of the type {}.", kind.as_str());
                return problem(ProblemCode::Invalid, path, message.into());
            }
        }
        for (path, id) in self.named_roles() {
            if !definitions.roles.iter().any(|role| role.role_id == id) {
                let message = Message::from("There is no client role with this id").listed_by("clientRoles");
                return problem(ProblemCode::NotFound, path, message);
            }
        }
        None
    }
}
