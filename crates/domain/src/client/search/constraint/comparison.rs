//! Reads the values of a constraint by the kind of the compared member. Knows no SQL.

use chrono::{Datelike, Days, Months, NaiveDate};

use super::{Constraint, Element, MOST_VALUES, Refusal, number::Number};
use crate::{client::search::folding::fold, member::TEXT_LIMIT};
use clientele_core::{
    problem::{Message, ProblemCode},
    scalar::Date,
};

/// Limit of `LAST_DAYS`: more than a century.
const MOST_DAYS: u32 = 36_600;

/// The kind of the values of a member.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Texts with a maximum of characters, compared without regard to case.
    Text(usize),
    /// Texts that are compared exactly.
    Key,
    /// A closed list of upper-case texts: returns the stored text of a value.
    Choice(fn(&str) -> Option<&'static str>),
    Day,
    /// Points in time, of which the days in UTC are compared.
    Instant,
    Number,
}

/// A comparison, or its opposite.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub test: Test,
    /// True if the test must not hold. It doesn't hold without a value.
    pub is_negated: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Test {
    Present,
    /// Exactly one of these texts.
    OneOf(Vec<String>),
    /// One of these texts after ASCII letters were converted to lower case.
    OneOfFolded(Vec<String>),
    /// Begins with this text.
    Begins(String),
    /// Begins with one of these texts after ASCII letters were converted to lower case.
    BeginsFolded(Vec<String>),
    Within(Span),
    Numbers(Vec<Number>),
    MoreThan(Number),
    LessThan(Number),
    Between(Number, Number),
}

impl Test {
    /// The folded beginning of all texts for which a test by their beginning holds. None if there isn't one: a mark of
    /// some scripts changes the letter before it.
    pub fn beginning(&self) -> Option<String> {
        let Self::BeginsFolded(prefixes) = self else {
            return None;
        };
        let is_simple = |text: &String| text.chars().all(|character| character < '\u{900}');
        let mut folded = prefixes.iter().map(|prefix| fold(prefix));
        let first = folded.next().filter(|first| !first.is_empty())?;
        (prefixes.iter().all(is_simple) && folded.all(|other| other == first)).then_some(first)
    }
}

/// A span of days: without `from` it has no start, without `until` no end. `until` isn't part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub from: Option<NaiveDate>,
    pub until: Option<NaiveDate>,
}

impl Span {
    fn days(first: NaiveDate, last: NaiveDate) -> Self {
        Self {
            from: Some(first),
            until: next(last),
        }
    }

    pub fn is_one_day(&self) -> bool {
        self.from.is_some() && self.from.and_then(next) == self.until
    }
}

/// The next day. None after the last day that the databases can store.
fn next(day: NaiveDate) -> Option<NaiveDate> {
    day.succ_opt().filter(|day| day.year() <= 9_999)
}

impl Comparison {
    pub fn of(constraint: &Constraint, kind: Kind, today: NaiveDate) -> Result<Self, Refusal> {
        let values = Values(constraint);
        let (element, is_negated) = match constraint.element {
            Element::DifferentThan => (Element::Equals, true),
            Element::Empty => (Element::NotEmpty, true),
            element => (element, false),
        };
        let test = match (kind, element) {
            (_, Element::NotEmpty) => Test::Present,
            (Kind::Text(longest), _) => values.texts(element, longest)?,
            (Kind::Key, Element::Equals | Element::EqualsCaseSensitive | Element::In) => {
                let what = format!("a key of at most {TEXT_LIMIT} characters");
                Test::OneOf(values.equal(element, |text| short(text, TEXT_LIMIT), &what)?)
            }
            (Kind::Choice(parse), Element::Equals | Element::EqualsCaseSensitive | Element::In) => {
                let parse = |text: &str| parse(&text.to_ascii_uppercase()).map(str::to_owned);
                Test::OneOf(values.equal(element, parse, "one of the member's values")?)
            }
            (Kind::Day | Kind::Instant, _) => Test::Within(values.span(element, today)?),
            (Kind::Number, _) => values.numbers(element)?,
            (Kind::Key | Kind::Choice(_), _) => return Err(values.unfit()),
        };
        Ok(Self { test, is_negated })
    }
}

/// The values of a constraint.
struct Values<'a>(&'a Constraint);

impl Values<'_> {
    fn unfit(&self) -> Refusal {
        let element = self.0.element.as_str();
        let message = format!("{element} doesn't fit the values of this selection.");
        (ProblemCode::Invalid, "filterElement", message.into())
    }

    fn parse<T>(
        &self,
        name: &'static str,
        text: Option<&String>,
        parse: impl Fn(&str) -> Option<T>,
        what: &str,
    ) -> Result<T, Refusal> {
        let Some(text) = text else {
            let message = format!(" is required for {}.", self.0.element.as_str());
            return Err((ProblemCode::Blank, name, Message::of_member(name, message)));
        };
        let refuse = |code, rest: String| Err((code, name, Message::of_member(name, rest)));
        if text.contains('\0') {
            let rest = " must not contain the character U+0000.".to_owned();
            return refuse(ProblemCode::InvalidCharacter, rest);
        }
        match parse(text) {
            Some(value) => Ok(value),
            None => refuse(ProblemCode::Malformed, format!(" must be {what}.")),
        }
    }

    fn one<T>(&self, parse: impl Fn(&str) -> Option<T>, what: &str) -> Result<T, Refusal> {
        self.parse("value", self.0.value.as_ref(), parse, what)
    }

    fn second<T>(&self, parse: impl Fn(&str) -> Option<T>, what: &str) -> Result<T, Refusal> {
        self.parse("secondValue", self.0.second_value.as_ref(), parse, what)
    }

    /// The value, or the values of `IN`.
    fn equal<T>(&self, element: Element, parse: impl Fn(&str) -> Option<T>, what: &str) -> Result<Vec<T>, Refusal> {
        if element != Element::In {
            return Ok(vec![self.one(parse, what)?]);
        }
        let values = &self.0.values;
        if values.len() > MOST_VALUES {
            let message = format!("Send at most {MOST_VALUES} values.");
            return Err((ProblemCode::TooMany, "values", message.into()));
        }
        if values.is_empty() {
            let message = "values must not be empty for IN.";
            return Err((ProblemCode::Blank, "values", message.into()));
        }
        let values = values.iter().map(|text| self.parse("values", Some(text), &parse, what));
        values.collect()
    }

    /// A text that is longer than stored ones is refused: the databases would compare it with each of them.
    fn texts(&self, element: Element, longest: usize) -> Result<Test, Refusal> {
        let most = match element {
            Element::StartsWith => longest.min(TEXT_LIMIT),
            _ => longest,
        };
        let text = |text: &str| short(text, most);
        let what = &format!("a text of at most {most} characters");
        Ok(match element {
            Element::EqualsCaseSensitive => Test::OneOf(vec![self.one(text, what)?]),
            Element::Equals | Element::In => {
                let values = self.equal(element, text, what)?;
                match values.iter().all(|value| is_caseless(value)) {
                    true => Test::OneOf(values),
                    false => Test::OneOfFolded(values.iter().flat_map(|value| folded(value)).collect()),
                }
            }
            Element::StartsWith => match self.one(text, what)? {
                prefix if is_caseless(&prefix) => Test::Begins(prefix),
                prefix => Test::BeginsFolded(folded(&prefix)),
            },
            _ => return Err(self.unfit()),
        })
    }

    fn span(&self, element: Element, today: NaiveDate) -> Result<Span, Refusal> {
        let day = |text: &str| Date::parse(text).map(|Date(day)| day);
        let what = "a date that exists, as yyyy-MM-dd";
        let span = |from, until| Span { from, until };
        // All of them are far from the limits of the calendar, except in a year beyond 9999.
        let month = today.with_day(1).unwrap_or(today);
        let year = month.with_month(1).unwrap_or(month);
        Ok(match element {
            Element::Equals | Element::On => {
                let day = self.one(day, what)?;
                Span::days(day, day)
            }
            Element::Before | Element::LessThan => span(None, Some(self.one(day, what)?)),
            Element::After | Element::MoreThan => {
                let day = self.one(day, what)?;
                match next(day) {
                    Some(next) => span(Some(next), None),
                    // There is no later day.
                    None => span(Some(day), Some(day)),
                }
            }
            Element::Between => Span::days(self.one(day, what)?, self.second(day, what)?),
            Element::Today => Span::days(today, today),
            Element::ThisWeek => {
                let monday = today - Days::new(today.weekday().num_days_from_monday().into());
                span(Some(monday), monday.checked_add_days(Days::new(7)))
            }
            Element::ThisMonth => span(Some(month), month.checked_add_months(Months::new(1))),
            Element::ThisYear => span(Some(year), year.checked_add_months(Months::new(12))),
            Element::LastDays => {
                let number = |text: &str| text.parse().ok().filter(|days: &u32| (1..=MOST_DAYS).contains(days));
                let days = self.one(number, &format!("a whole number from 1 to {MOST_DAYS}"))?;
                Span::days(today - Days::new(days.into()), today)
            }
            _ => return Err(self.unfit()),
        })
    }

    fn numbers(&self, element: Element) -> Result<Test, Refusal> {
        let what = "a decimal number of up to 30 digits";
        Ok(match element {
            Element::Equals | Element::In => Test::Numbers(self.equal(element, Number::parse, what)?),
            Element::MoreThan => Test::MoreThan(self.one(Number::parse, what)?),
            Element::LessThan => Test::LessThan(self.one(Number::parse, what)?),
            Element::Between => Test::Between(self.one(Number::parse, what)?, self.second(Number::parse, what)?),
            _ => return Err(self.unfit()),
        })
    }
}

/// Returns a text that has no more characters than the limit.
fn short(text: &str, most: usize) -> Option<String> {
    text.chars().nth(most).is_none().then(|| text.to_owned())
}

/// Returns true if a text has no letters that differ in case.
fn is_caseless(text: &str) -> bool {
    text.to_lowercase() == text.to_uppercase()
}

/// The databases convert only ASCII letters. So other letters are compared in four spellings: as they are, in lower
/// case, in upper case, and with a capital at the beginning of each word.
fn folded(text: &str) -> Vec<String> {
    let mut capital = true;
    let mut words = String::new();
    for character in text.chars() {
        match capital {
            true => words.extend(character.to_uppercase()),
            false => words.extend(character.to_lowercase()),
        }
        capital = !character.is_alphanumeric();
    }
    let spellings = [text.to_owned(), text.to_lowercase(), text.to_uppercase(), words];
    let mut spellings: Vec<String> = spellings.into_iter().map(|text| text.to_ascii_lowercase()).collect();
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}
