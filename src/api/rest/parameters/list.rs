//! The parameters of a list of clients: its filter and the requested page.

use super::{Parameters, shown, twice};
use crate::api::rest::{
    errors::{
        Refusal,
        codes::{self, Code},
    },
    read,
};
use clientele_domain::{client::ClientFilter, enums::ClientState};
use clientele_storage::paging::Range;

const DEFAULT_LIMIT: u32 = 50;
const MOST: u32 = 1_000;

/// A requested list.
#[derive(Debug)]
pub struct List {
    pub filter: ClientFilter,
    pub range: Range,
}

/// Parses the parameters of a list. All of them combine.
pub fn list(parameters: &Parameters) -> Result<List, Refusal> {
    let mut filter = ClientFilter::default();
    let (mut offset, mut limit) = (None, None);
    for (name, value) in &parameters.0 {
        let repeated = match name.as_str() {
            "offset" => offset.replace(number(value, OFFSET)?).is_some(),
            "limit" => limit.replace(number(value, LIMIT)?).is_some(),
            // fullDetails has no effect on a list, and appkey has no effect at all.
            "fullDetails" | "appkey" => false,
            "firstName" => filter.exactly.first_name.replace(value.clone()).is_some(),
            "lastName" => filter.exactly.last_name.replace(value.clone()).is_some(),
            "idDocument" => filter.document_id.replace(value.clone()).is_some(),
            "branchId" => filter.exactly.assigned_branch_key.replace(value.clone()).is_some(),
            "centreId" => filter.exactly.assigned_centre_key.replace(value.clone()).is_some(),
            "creditOfficerUsername" => filter.exactly.assigned_user_key.replace(value.clone()).is_some(),
            "birthDate" => {
                let date = read::day(value).ok_or_else(|| {
                    let source = "birthDate: birthDate must be a date that exists, as yyyy-MM-dd.";
                    Refusal::new(codes::INVALID_BIRTH_DATE, source)
                })?;
                filter.birth_date.replace(date).is_some()
            }
            "state" => {
                let state = ClientState::parse(value).ok_or_else(|| {
                    let source = "state: state must be a state of a client, ACTIVE for example.";
                    Refusal::new(codes::INVALID_CLIENT_STATE, source)
                })?;
                filter.states.replace(vec![state]).is_some()
            }
            _ => {
                let source = format!("{} isn't a filter of this list.", shown(name));
                return Err(Refusal::new(codes::PARAMETER_NOT_ALLOWED, source));
            }
        };
        if repeated {
            return Err(twice(name));
        }
    }
    let range = Range::Offset {
        offset: offset.unwrap_or_default(),
        count: limit.map_or(DEFAULT_LIMIT, |limit| u32::try_from(limit).unwrap_or(MOST)),
    };
    Ok(List { filter, range })
}

/// A number with limits, and the codes of its refusals.
struct Bounded {
    no_integer: Code,
    out_of_bounds: Code,
    least: u64,
    most: u64,
    sentence: &'static str,
}

const OFFSET: Bounded = Bounded {
    no_integer: codes::INVALID_PAGINATION_OFFSET_VALUE,
    out_of_bounds: codes::OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE,
    least: 0,
    most: u64::MAX,
    sentence: "offset: offset must be an integer of 0 or more.",
};

const LIMIT: Bounded = Bounded {
    no_integer: codes::INVALID_PAGINATION_LIMIT_VALUE,
    out_of_bounds: codes::OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE,
    least: 1,
    most: MOST as u64,
    sentence: "limit: limit must be an integer from 1 to 1000.",
};

fn number(text: &str, bounded: Bounded) -> Result<u64, Refusal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::new(bounded.no_integer, bounded.sentence));
    }
    // An integer too large to represent exceeds any limit.
    let number = digits.parse().unwrap_or(u64::MAX);
    if number > 0 && text.starts_with('-') || !(bounded.least..=bounded.most).contains(&number) {
        return Err(Refusal::new(bounded.out_of_bounds, bounded.sentence));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::list;
    use crate::api::rest::parameters::Parameters;
    use clientele_storage::paging::Range;

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
            let found = found
                .map_err(|refusal| refusal.code.number)
                .map(|list| match list.range {
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
            (
                "branchId=a&centreId=b&creditOfficerUsername=c&fullDetails=perhaps",
                None,
            ),
            ("appkey=K&appkey=L", None),
            ("birthDate=1990-02-30", Some(309)),
            ("state=active", Some(305)),
            ("name=A", Some(27)),
            ("firstName=A&firstName=B", Some(27)),
        ] {
            let found = Parameters::parse(text).and_then(|parameters| list(&parameters));
            assert_eq!(found.err().map(|refusal| refusal.code.number), number, "{text}");
        }
    }
}
