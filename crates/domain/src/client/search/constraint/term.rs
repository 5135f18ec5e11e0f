//! Writes the conditions of constraints as SQL.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use entity::instant;

use super::{
    Compared, Reach, Refusal, Selection,
    comparison::{Comparison, Kind, Span, Test},
    expression,
    number::{self, Number},
};
use crate::{
    caller::Rights,
    client::search::{
        folding::fold,
        other_table::{IsCommon, OtherRows, with_rows},
        prefix::end_of_prefix,
    },
    definitions::Definitions,
};
use clientele_core::problem::ProblemCode;
use clientele_storage::paging::Conditions;

/// The texts of an address.
const ADDRESS: [&str; 6] = ["line1", "line2", "city", "region", "postcode", "country"];

/// The stored values that a constraint compares.
#[derive(Debug)]
pub(super) struct Subject {
    pub kind: Kind,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Member(Selection),
    /// The custom field with this key.
    CustomField(String),
}

/// A condition on an expression.
type Term = Box<dyn Fn(&str) -> String>;

impl Subject {
    pub fn of(compared: &Compared, definitions: &Definitions, rights: &Rights) -> Result<Self, Refusal> {
        let id = match compared {
            Compared::Member(selection) => {
                return Ok(Self {
                    kind: selection.kind(),
                    place: Place::Member(*selection),
                });
            }
            Compared::CustomField(id) => id,
        };
        let refuse = |code, message: &'static str| Err((code, "filterSelection", message.into()));
        match definitions.field(id) {
            None => {
                let message = "filterSelection must be the id of a custom field.";
                refuse(ProblemCode::NotFound, message)
            }
            Some(field) if !field.is_shown(rights) => {
                let message = "You may not see the values of this custom field, nor look clients up by them.";
                refuse(ProblemCode::Forbidden, message)
            }
            Some(field) => Ok(Self {
                kind: field.compared_kind(),
                place: Place::CustomField(field.row.encoded_key.clone()),
            }),
        }
    }

    pub fn reach(&self, Comparison { test, is_negated }: &Comparison) -> Reach {
        match (&self.place, test) {
            _ if *is_negated => Reach::All,
            (Place::Member(selection), test) => selection.reach(test),
            (Place::CustomField(_), Test::OneOf(values)) if values.len() == 1 => Reach::Range,
            (Place::CustomField(_), _) => Reach::All,
        }
    }

    /// The key of a custom field that must have exactly one value, and the value.
    fn custom_value<'a>(&'a self, Comparison { test, is_negated }: &'a Comparison) -> Option<(&'a str, &'a str)> {
        match (&self.place, test) {
            (Place::CustomField(key), Test::OneOf(values)) if !is_negated && values.len() == 1 => {
                Some((key, &values[0]))
            }
            _ => None,
        }
    }

    pub fn add(&self, comparison: &Comparison, is_common: &mut IsCommon<'_>, conditions: &mut Conditions) {
        if let Some((key, value)) = self.custom_value(comparison) {
            let rows = OtherRows::of_custom_value(conditions, key, value, false);
            with_rows(conditions, rows, is_common);
            return;
        }
        let Comparison { test, is_negated } = comparison;
        if !is_negated && let Place::Member(selection) = self.place {
            narrow(selection, test, is_common, conditions);
        }
        let holds = match (&self.place, test) {
            (Place::CustomField(key), test) => {
                let key = conditions.bind(key.as_str());
                let term = term(test, self.kind, true, conditions);
                let value = term("coalesce(v.value, v.linked_key)");
                format!(
                    "EXISTS (SELECT 1 FROM custom_field_value v WHERE v.client_key = c.encoded_key \
                     AND v.field_key = {key} AND {value})"
                )
            }
            (Place::Member(Selection::LoanCycle | Selection::GroupLoanCycle), test) => {
                if is_true_of_zero(test) { "TRUE" } else { "FALSE" }.to_owned()
            }
            (Place::Member(Selection::Id), Test::OneOf(_)) => {
                let id = term(test, self.kind, false, conditions)("client_id");
                format!("c.encoded_key IN (SELECT client_key FROM client_id_claim WHERE {id})")
            }
            (Place::Member(selection), test) => {
                let term = term(test, self.kind, false, conditions);
                match selection.column() {
                    Some(column) => term(&expression(column)),
                    None if *selection == Selection::Address => {
                        let members = ADDRESS.map(|column| term(&format!("a.{column}"))).join(" OR ");
                        format!("EXISTS (SELECT 1 FROM address a WHERE a.client_key = c.encoded_key AND ({members}))")
                    }
                    None => term("(c.first_name || coalesce(' ' || c.middle_name, '') || ' ' || c.last_name)"),
                }
            }
        };
        conditions.push(match is_negated {
            true => format!("({holds}) IS NOT TRUE"),
            false => holds,
        });
    }
}

/// Adds a condition that an index serves. It holds whenever the test does, and also for other accents.
fn narrow(selection: Selection, test: &Test, is_common: &mut IsCommon<'_>, conditions: &mut Conditions) {
    let Some(column) = selection.folded_column() else {
        return;
    };
    let condition = match test {
        Test::OneOfFolded(spellings) => {
            let folded: BTreeSet<String> = spellings.iter().map(|text| fold(text)).collect();
            let folded = bind_list(&Vec::from_iter(folded), conditions);
            conditions.dialect.is_one_of(column, &folded)
        }
        // The statement doesn't depend on the text.
        Test::BeginsFolded(_) => {
            let from = test.beginning().unwrap_or_default();
            let until = end_of_prefix(&from).unwrap_or_else(|| char::MAX.to_string());
            let (from, until) = (conditions.bind(from), conditions.bind(until));
            format!("{column} >= {from} AND {column} < {until}")
        }
        _ => return,
    };
    with_rows(conditions, Some(OtherRows::of_folded(condition)), is_common);
}

/// Binds the values of a test. In custom values, dates are texts.
fn term(test: &Test, kind: Kind, is_custom: bool, conditions: &mut Conditions) -> Term {
    let dialect = conditions.dialect;
    match test {
        Test::Present => Box::new(|expression| format!("{expression} IS NOT NULL")),
        Test::OneOf(values) => {
            let values = bind_list(values, conditions);
            Box::new(move |expression| dialect.is_one_of(expression, &values))
        }
        Test::OneOfFolded(values) => {
            let values = bind_list(values, conditions);
            Box::new(move |expression| dialect.is_one_of(&format!("lower({expression})"), &values))
        }
        Test::Begins(prefix) => {
            let from = conditions.bind(prefix.as_str());
            let until = end_of_prefix(prefix).map(|end| conditions.bind(end));
            Box::new(move |expression| match &until {
                Some(until) => format!("({expression} >= {from} AND {expression} < {until})"),
                None => format!("{expression} >= {from}"),
            })
        }
        Test::BeginsFolded(prefixes) => {
            let prefixes = dialect.texts(&bind_list(prefixes, conditions), "p");
            Box::new(move |expression| {
                format!(
                    "EXISTS (SELECT 1 FROM {prefixes} \
                     WHERE substr(lower({expression}), 1, length(p.value)) = p.value)"
                )
            })
        }
        Test::Within(span) => within(*span, kind, is_custom, conditions),
        Test::Numbers(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(Number::canonical).collect();
            let numbers = bind_list(&numbers, conditions);
            Box::new(move |expression| dialect.is_one_of(&number::canonical(expression), &numbers))
        }
        Test::MoreThan(number) => {
            let number = number.bind(conditions);
            Box::new(move |expression| number.greater(expression))
        }
        Test::LessThan(number) => {
            let number = number.bind(conditions);
            Box::new(move |expression| number.less(expression))
        }
        Test::Between(first, last) => {
            let (first, last) = (first.bind(conditions), last.bind(conditions));
            Box::new(move |expression| format!("(NOT {} AND NOT {})", first.less(expression), last.greater(expression)))
        }
    }
}

fn within(Span { from, until }: Span, kind: Kind, is_custom: bool, conditions: &mut Conditions) -> Term {
    let mut bind = |day: NaiveDate| {
        let (text, sql_type) = match kind {
            Kind::Instant => (
                instant::to_text(&day.and_time(Default::default()).and_utc()),
                "timestamptz",
            ),
            _ if is_custom => (day.to_string(), "text"),
            _ => (day.to_string(), "date"),
        };
        let placeholder = conditions.bind(text);
        conditions.dialect.cast(&placeholder, sql_type)
    };
    let (from, until) = (from.map(&mut bind), until.map(&mut bind));
    Box::new(move |expression| match (&from, &until) {
        (Some(from), Some(until)) => format!("({expression} >= {from} AND {expression} < {until})"),
        (Some(from), None) => format!("{expression} >= {from}"),
        (None, Some(until)) => format!("{expression} < {until}"),
        (None, None) => format!("{expression} IS NOT NULL"),
    })
}

fn bind_list(values: &[String], conditions: &mut Conditions) -> String {
    let values = serde_json::to_string(values).expect("texts are JSON");
    conditions.bind(values)
}

/// Evaluates a test of a member that is always 0.
fn is_true_of_zero(test: &Test) -> bool {
    match test {
        Test::Present => true,
        Test::Numbers(numbers) => numbers.iter().any(Number::is_zero),
        Test::MoreThan(number) => number.is_negative(),
        Test::LessThan(number) => !number.is_negative() && !number.is_zero(),
        Test::Between(first, last) => {
            let reaches = |number: &Number| number.is_zero() || number.is_negative();
            reaches(first) && !last.is_negative()
        }
        Test::OneOf(_) | Test::OneOfFolded(_) | Test::Begins(_) | Test::BeginsFolded(_) | Test::Within(_) => false,
    }
}
