//! Parameters of a URL or a form: the scalars of a new client, or the filters of a list of clients.

use async_graphql::resolver_utils::EnumType;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{
    answer::Detail,
    errors::{RestError, codes},
    read,
    request::not_utf8,
};
use clientele_domain::{client::ClientFilter, enums::ClientState, upsert::UpsertClient};
use clientele_storage::paging::Range;

/// The maximum number of pairs in a query string or form, far above the number of a client's parameters.
const MOST_PAIRS: usize = 100;
const DEFAULT_LIMIT: u32 = 50;
pub const MAX_LIMIT: u32 = 1_000;

/// Accepted on every route, even without effect: callers send them everywhere. The public Java SDK adds `appkey` to
/// every request.
pub const EVERYWHERE: [&str; 4] = ["appkey", "fullDetails", "limit", "offset"];

/// The scalars with which a client can be created.
pub const SCALARS: [&str; 16] = [
    "id",
    "state",
    "firstName",
    "lastName",
    "middleName",
    "homePhone",
    "emailAddress",
    "mobilePhone1",
    "mobilePhone2",
    "birthDate",
    "gender",
    "notes",
    "assignedUserKey",
    "assignedBranchKey",
    "assignedCentreKey",
    "preferredLanguage",
];

/// Older spellings of some of them.
pub const OLD_SPELLINGS: [(&str, &str); 4] = [
    ("homephone", "homePhone"),
    ("mobilephone", "mobilePhone1"),
    ("birthdate", "birthDate"),
    ("email", "emailAddress"),
];

/// Names and values, in the order received.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parses the query of a URL or a form: `name=value` pairs separated by ampersands, `+` for a space, `%` for any
    /// byte. A percent sign without two digits stands for itself.
    ///
    /// # Errors
    /// When there are too many pairs, or when the decoded bytes aren't UTF-8: replacing them would silently change a
    /// name.
    pub fn parse(text: &str) -> Result<Self, RestError> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        if pairs.clone().count() > MOST_PAIRS {
            let source = format!("There are more than {MOST_PAIRS} parameters.");
            return Err(RestError::new(codes::PARAMETER_NOT_ALLOWED, source));
        }
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    pub fn and(mut self, mut more: Self) -> Self {
        self.0.append(&mut more.0);
        self
    }

    /// The first value of this name.
    pub fn first(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| &**value)
    }

    /// Parameters other than those accepted everywhere.
    fn particular(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| !EVERYWHERE.contains(name))
    }

    /// # Errors
    /// When there are parameters other than those accepted everywhere. `other` is the part of the request that excludes
    /// them.
    pub fn refuse_with(&self, other: &str) -> Result<(), RestError> {
        self.particular().next().map_or(Ok(()), |(name, _)| {
            let source = format!("{} isn't allowed with {other}.", shown(name));
            Err(RestError::new(codes::PARAMETER_NOT_ALLOWED, source))
        })
    }

    /// The parts of a client in the answer to a read: all with `fullDetails=true`.
    pub fn detail(&self) -> Result<Detail, RestError> {
        let mut values = self.0.iter().filter(|(name, _)| name == "fullDetails");
        let value = values.next().map_or("false", |(_, value)| value);
        if values.next().is_some() {
            return Err(twice("fullDetails"));
        }
        match value.to_ascii_lowercase().as_str() {
            "true" => Ok(Detail::WithGroups),
            "false" => Ok(Detail::Bare),
            _ => {
                let source = "fullDetails must be true or false.";
                Err(RestError::new(codes::INVALID_PARAMETERS, source))
            }
        }
    }

    /// The value of the only parameter that a route takes, if it is given.
    ///
    /// # Errors
    /// When another parameter is given, or this one twice.
    pub fn only(&self, name: &str) -> Result<Option<&str>, RestError> {
        let mut value = None;
        for (given, text) in self.particular() {
            if given != name {
                let source = format!("{} isn't accepted by this route: it takes {name}.", shown(given));
                return Err(RestError::new(codes::PARAMETER_NOT_ALLOWED, source));
            }
            if value.replace(text).is_some() {
                return Err(twice(name));
            }
        }
        Ok(value)
    }

    /// The client that the parameters describe, as the same members of a JSON body would.
    pub fn client(&self) -> Result<UpsertClient, RestError> {
        let mut members = Map::new();
        for (name, value) in self.particular() {
            let Some(member) = scalar(name) else {
                // The second sentence is for a JSON body sent as a form, which is the default of some tools.
                let name = shown(name);
                let source = format!("{name} isn't accepted for a client. Send JSON as application/json.");
                return Err(RestError::new(codes::PARAMETER_NOT_ALLOWED, source));
            };
            if members.insert(member.to_owned(), Value::from(value)).is_some() {
                return Err(twice(member));
            }
        }
        let body = Map::from_iter([("client".to_owned(), Value::from(members))]);
        read::submission(&Value::from(body).to_string())
    }
}

/// The part and the format of a search's answer: such a request has no filters in its URL.
pub fn page(parameters: &Parameters) -> Result<(Range, Detail), RestError> {
    parameters.refuse_with("a JSON body")?;
    let List { range, detail, .. } = list(parameters)?;
    Ok((range, detail))
}

/// A requested list.
#[derive(Debug)]
pub struct List {
    pub filter: ClientFilter,
    pub range: Range,
    pub detail: Detail,
}

/// Parses the parameters of a list. All of them combine.
pub fn list(parameters: &Parameters) -> Result<List, RestError> {
    let mut filter = ClientFilter::default();
    let (mut offset, mut limit) = (None, None);
    for (name, value) in &parameters.0 {
        let repeated = match name.as_str() {
            "offset" => offset.replace(offset_of(value)?).is_some(),
            "limit" => limit.replace(limit_of(value)?).is_some(),
            // fullDetails is read below, and appkey has no effect.
            "fullDetails" | "appkey" => false,
            "firstName" => filter.exactly.first_name.replace(value.clone()).is_some(),
            "lastName" => filter.exactly.last_name.replace(value.clone()).is_some(),
            "idDocument" => filter.document_id.replace(value.clone()).is_some(),
            "branchId" => filter.assigned_branch_key.replace(value.clone()).is_some(),
            "centreId" => filter.assigned_centre_key.replace(value.clone()).is_some(),
            "creditOfficerUsername" => filter.assigned_user_key.replace(value.clone()).is_some(),
            // Some callers use the old spelling in lists, too.
            "birthDate" | "birthdate" => {
                let date = read::date(value).ok_or_else(|| {
                    let source = "birthDate must be a date that exists, as yyyy-MM-dd.";
                    RestError::new(codes::INVALID_BIRTH_DATE, source)
                })?;
                filter.birth_date.replace(date).is_some()
            }
            "state" => {
                let state = ClientState::parse(value).ok_or_else(|| {
                    let source = format!("state must be {}.", read::listed(ClientState::items()));
                    RestError::new(codes::INVALID_CLIENT_STATE, source)
                })?;
                filter.states.replace(vec![state]).is_some()
            }
            _ => {
                let source = format!("{} isn't a filter of this list.", shown(name));
                return Err(RestError::new(codes::PARAMETER_NOT_ALLOWED, source));
            }
        };
        if repeated {
            return Err(twice(name));
        }
    }
    let range = Range::Offset {
        offset: offset.unwrap_or_default(),
        count: limit.unwrap_or(DEFAULT_LIMIT),
    };
    let detail = parameters.detail()?;
    Ok(List { filter, range, detail })
}

fn offset_of(text: &str) -> Result<u64, RestError> {
    let source = "offset must be an integer of 0 or more.";
    let offset = integer(text).ok_or_else(|| RestError::new(codes::INVALID_PAGINATION_OFFSET_VALUE, source))?;
    u64::try_from(offset).map_err(|_| RestError::new(codes::OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE, source))
}

fn limit_of(text: &str) -> Result<u32, RestError> {
    let source = "limit must be an integer from 1 to 1000.";
    let limit = integer(text).ok_or_else(|| RestError::new(codes::INVALID_PAGINATION_LIMIT_VALUE, source))?;
    let limit = u32::try_from(limit)
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| RestError::new(codes::OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE, source))
}

/// An integer of any length: one that is too large to represent becomes the largest offset.
fn integer(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = i128::from(digits.parse().unwrap_or(u64::MAX));
    Some(if digits.len() < text.len() { -number } else { number })
}

fn decode(text: &str) -> Result<String, RestError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    Ok(decoded.map_err(|_| not_utf8())?.into_owned())
}

/// The client's member that a parameter sets.
fn scalar(name: &str) -> Option<&str> {
    let name = OLD_SPELLINGS
        .iter()
        .find(|(old, _)| *old == name)
        .map_or(name, |(_, name)| name);
    SCALARS.contains(&name).then_some(name)
}

fn twice(name: &str) -> RestError {
    RestError::new(codes::PARAMETER_NOT_ALLOWED, format!("{name} is given twice."))
}

/// Returns true for a name that can be repeated in a response: a body mistaken for a form may have anything as names.
pub fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

fn shown(name: &str) -> &str {
    if is_plain(name) { name } else { "This parameter" }
}

#[cfg(test)]
mod tests {
    use async_graphql::MaybeUndefined::Value;

    use super::{Parameters, Range, list};

    fn decode(text: &str) -> Result<Vec<(String, String)>, super::RestError> {
        Parameters::parse(text).map(|Parameters(pairs)| pairs)
    }

    #[test]
    fn pairs_are_unescaped() {
        let pairs = decode("a=1+2&b=%C3%A9%26&&c&d=100%&=x&e=f=g").expect("UTF-8");
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("a", "1 2"),
                ("b", "é&"),
                ("c", ""),
                ("d", "100%"),
                ("", "x"),
                ("e", "f=g")
            ]
        );
    }

    #[test]
    fn other_encodings_are_refused() {
        assert_eq!(decode("a=%E9").map_err(|error| error.code.number), Err(22));
    }

    #[test]
    fn pairs_are_counted_before_they_are_read() {
        assert_eq!(decode(&"a=1&&".repeat(100)).map(|pairs| pairs.len()), Ok(100));
        let refused = decode(&"%E9&".repeat(101)).map_err(|error| (error.code.number, error.source));
        assert_eq!(
            refused,
            Err((27, Some("There are more than 100 parameters.".to_owned())))
        );
    }

    fn refused(text: &str) -> Option<u16> {
        let client = Parameters::parse(text).and_then(|parameters| parameters.client());
        client.err().map(|error| error.code.number)
    }

    #[test]
    fn parameters_have_new_and_old_names() {
        let text = "firstName=Ines&lastName=Okafor&homephone=1&mobilephone=2&mobilePhone2=3&birthdate=1990-04-17\
                    &email=i%40example.test&limit=5";
        let client = Parameters::parse(text)
            .and_then(|parameters| parameters.client())
            .expect("a client")
            .client;
        assert_eq!(client.home_phone, Value("1".into()));
        assert_eq!(client.mobile_phone1, Value("2".into()));
        assert_eq!(client.mobile_phone2, Value("3".into()));
        assert_eq!(
            client.birth_date.map_value(|date| date.0.to_string()),
            Value("1990-04-17".into())
        );
        assert_eq!(client.email_address, Value("i@example.test".into()));
    }

    #[test]
    fn other_parameters_are_refused() {
        for (text, number) in [
            ("firstName=A&lastName=B&fullDetails=true", None),
            ("firstName=A&nickname=B", Some(27)),
            ("encodedKey=abc", Some(27)),
            ("clientRole=abc", Some(27)),
            ("email=a&emailAddress=b", Some(27)),
            ("firstName=%FF", Some(22)),
        ] {
            assert_eq!(refused(text), number, "{text}");
        }
    }

    #[test]
    fn a_refusal_repeats_no_more_than_a_plain_name() {
        for (text, source) in [
            (
                "nickname=secret",
                "nickname isn't accepted for a client. Send JSON as application/json.",
            ),
            (
                "%7B%22secret%22%3A1%7D",
                "This parameter isn't accepted for a client. Send JSON as application/json.",
            ),
        ] {
            let client = Parameters::parse(text).and_then(|parameters| parameters.client());
            assert_eq!(client.err().and_then(|error| error.source).as_deref(), Some(source));
        }
    }

    #[test]
    fn a_list_has_an_offset_and_a_limit() {
        for (text, expected) in [
            ("", Ok((0, 50))),
            ("limit=1000&offset=7", Ok((7, 1000))),
            ("limit=1&offset=-0", Ok((0, 1))),
            ("offset=99999999999999999999", Ok((u64::MAX, 50))),
            ("offset=x", Err(11)),
            ("offset=", Err(11)),
            ("offset=1.5", Err(11)),
            ("offset=-1", Err(12)),
            ("limit=x", Err(13)),
            ("limit=-", Err(13)),
            ("limit=0", Err(14)),
            ("limit=-5", Err(14)),
            ("limit=1001", Err(14)),
            ("limit=99999999999999999999", Err(14)),
        ] {
            let found = Parameters::parse(text).and_then(|parameters| list(&parameters));
            let found = found.map_err(|error| error.code.number).map(|list| match list.range {
                Range::Offset { offset, count } => (offset, count),
                Range::First { .. } | Range::Last { .. } => unreachable!("lists go by offset"),
            });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn other_filters_are_refused() {
        for (text, number) in [
            (
                "firstName=A&lastName=B&idDocument=C&birthDate=1990-04-17&state=ACTIVE",
                None,
            ),
            ("birthdate=1990-04-17", None),
            ("birthdate=1990-04-17&birthDate=1990-04-17", Some(27)),
            ("branchId=a&centreId=b&creditOfficerUsername=c&fullDetails=true", None),
            ("fullDetails=perhaps", Some(4)),
            ("fullDetails=true&fullDetails=true", Some(27)),
            ("appkey=K&appkey=L", None),
            ("birthDate=1990-02-30", Some(309)),
            ("state=active", Some(305)),
            ("name=A", Some(27)),
            ("firstName=A&firstName=B", Some(27)),
        ] {
            let found = Parameters::parse(text).and_then(|parameters| list(&parameters));
            assert_eq!(found.err().map(|error| error.code.number), number, "{text}");
        }
    }
}
