//! Parameters of a URL or a form: the scalars of a new client, or the filters of a list of clients.

mod encoding;
mod list;

use serde_json::{Map, Value};

use super::{
    errors::{Refusal, codes},
    read,
};
use clientele_domain::upsert::UpsertClient;
pub use list::{List, list};

/// Accepted on every route, even without effect: callers send them everywhere. The public Java SDK adds `appkey` to
/// every request.
const EVERYWHERE: [&str; 4] = ["appkey", "fullDetails", "limit", "offset"];

/// The scalars with which a client can be created.
const SCALARS: [&str; 16] = [
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
const OLD_SPELLINGS: [(&str, &str); 4] = [
    ("homephone", "homePhone"),
    ("mobilephone", "mobilePhone1"),
    ("birthdate", "birthDate"),
    ("email", "emailAddress"),
];

/// Names and values, in the order received.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parses the query of a URL or a form.
    ///
    /// # Errors
    /// When the decoded bytes aren't UTF-8.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        encoding::decode(text).map(Self)
    }

    pub fn and(mut self, mut more: Self) -> Self {
        self.0.append(&mut more.0);
        self
    }

    /// Parameters other than those accepted everywhere.
    fn particular(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| !EVERYWHERE.contains(name))
    }

    /// # Errors
    /// When there are such parameters in addition to `what`.
    pub fn refuse_beside(&self, what: &str) -> Result<(), Refusal> {
        self.particular().next().map_or(Ok(()), |(name, _)| {
            let source = format!("{} isn't allowed beside {what}.", shown(name));
            Err(Refusal::new(codes::PARAMETER_NOT_ALLOWED, source))
        })
    }

    /// Returns true when the caller also requests collections.
    pub fn full_details(&self) -> Result<bool, Refusal> {
        let mut values = self.0.iter().filter(|(name, _)| name == "fullDetails");
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(twice("fullDetails")),
            (None, None) => Ok(false),
            (Some((_, value)), None) if value.eq_ignore_ascii_case("true") => Ok(true),
            (Some((_, value)), None) if value.eq_ignore_ascii_case("false") => Ok(false),
            (Some(_), None) => Err(Refusal::new(
                codes::INVALID_PARAMETERS,
                "fullDetails: fullDetails must be true or false.",
            )),
        }
    }

    /// The client that the parameters describe, as the same members of a JSON body would.
    pub fn client(&self) -> Result<UpsertClient, Refusal> {
        let mut members = Map::new();
        for (name, value) in self.particular() {
            let Some(member) = scalar(name) else {
                // The second sentence is for a JSON body sent as a form, which is the default of some tools.
                let source = format!(
                    "{} isn't a parameter of a client. Send JSON as application/json.",
                    shown(name)
                );
                return Err(Refusal::new(codes::PARAMETER_NOT_ALLOWED, source));
            };
            if members.insert(member.to_owned(), Value::from(value)).is_some() {
                return Err(twice(member));
            }
        }
        let body = Map::from_iter([("client".to_owned(), Value::from(members))]);
        read::submission(&Value::from(body).to_string())
    }
}

/// The client's member that a parameter sets.
fn scalar(name: &str) -> Option<&str> {
    let name = OLD_SPELLINGS
        .iter()
        .find(|(old, _)| *old == name)
        .map_or(name, |(_, name)| name);
    SCALARS.contains(&name).then_some(name)
}

fn twice(name: &str) -> Refusal {
    Refusal::new(codes::PARAMETER_NOT_ALLOWED, format!("{name} is given twice."))
}

/// A name that can be repeated in a response: a body mistaken for a form may have anything as names.
fn shown(name: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        name
    } else {
        "What was sent"
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::MaybeUndefined::Value;

    use super::Parameters;

    fn refused(text: &str) -> Option<u16> {
        let client = Parameters::parse(text).and_then(|parameters| parameters.client());
        client.err().map(|refusal| refusal.code.number)
    }

    #[test]
    fn parameters_have_new_and_old_names() {
        let text = "firstName=Ines&lastName=Okafor&homephone=1&mobilephone=2&mobilePhone2=3&birthdate=1990-04-17&email=i%40example.test&limit=5";
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
                "nickname isn't a parameter of a client. Send JSON as application/json.",
            ),
            (
                "%7B%22secret%22%3A1%7D",
                "What was sent isn't a parameter of a client. Send JSON as application/json.",
            ),
        ] {
            let client = Parameters::parse(text).and_then(|parameters| parameters.client());
            assert_eq!(client.err().and_then(|refusal| refusal.source).as_deref(), Some(source));
        }
    }
}
