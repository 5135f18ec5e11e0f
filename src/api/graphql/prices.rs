//! Prices of reading and counting the lists of the root, which cost the database more than their answers show.
//!
//! A price depends on how the database finds the rows: in the order of an index, by a value that few rows have, by one
//! range of an index, or by examining rows one by one. Counts end at 10,000 entries, so that only the last kind of
//! search grows with the table.

use graphql_server::{Link, Prices, RootField};

use super::{
    load_plan::{ROWS, TOTAL},
    page::DEFAULT_PAGE,
};
use clientele_domain::changes;

/// The prices of the schema's fields.
pub const PRICES: Prices = Prices {
    default_page: DEFAULT_PAGE as usize,
    // A larger page of another list is refused.
    largest_page: changes::LARGEST_PAGE as usize,
    inputs: &["ids", "clients"],
    entries: ROWS,
    total: TOTAL,
    count: COUNT_OF_ONE,
    links: LINKS,
    root: of_root,
};

/// Custom field values that link clients: each can bring a whole client.
const LINKS: &[Link] = &[Link {
    field: "customInformation",
    to: "linkedClient",
    entries: 10,
}];

/// A count of rows that an index lists.
const COUNT: usize = 100;
/// A search in one range of an index.
const RANGE: usize = 1_000;
/// A search by a value that is in another table.
const VALUE: usize = 3_000;
/// A search by words: an index of trigrams lists the rows.
const WORDS: usize = 1_000;
/// A search that examines rows one by one.
const SCAN: usize = 10_000;
/// A count of the rows of one client.
const COUNT_OF_ONE: usize = 10;
/// An earlier version of a client, or the difference of two: up to 10,000 records are read with their contents, in both
/// directions together.
const REPLAY: usize = 10_000;

/// A field of the root that lists rows, with the members of its filter that an index supports.
struct List {
    field: &'static str,
    /// Members whose values few rows have: other members are checked on those rows.
    selective: &'static [&'static str],
    /// Members that alone are one range of an index.
    range: &'static [&'static str],
    /// Members that alone are one range of an index of another table.
    value: &'static [&'static str],
}

const LISTS: [List; 7] = [
    List {
        field: "clients",
        selective: &["emailAddress", "email", "phone", "documentId", "birthDate"],
        range: &[
            "states",
            "firstNameStartsWith",
            "lastNameStartsWith",
            "born",
            "assignedBranchKey",
            "assignedCentreKey",
            "assignedUserKey",
            "createdAt",
            "updatedAt",
        ],
        value: &["firstName", "lastName", "city", "customField"],
    },
    List {
        field: "messages",
        selective: &["client"],
        range: &["states", "templateId", "createdAt"],
        value: &[],
    },
    List {
        field: "suppressions",
        selective: &["recipient"],
        range: &[],
        value: &[],
    },
    List {
        field: "auditLog",
        selective: &["client"],
        range: &["subject", "subjectKey", "action", "callerId", "at"],
        value: &[],
    },
    List {
        field: "users",
        selective: &[],
        range: &[],
        value: &[],
    },
    List {
        field: "tokens",
        selective: &[],
        range: &[],
        value: &[],
    },
    List {
        field: "sessions",
        selective: &[],
        range: &[],
        value: &[],
    },
];

/// The members of the filter of `clients` that are priced as found by an index.
pub fn indexed_members_of_clients() -> impl Iterator<Item = &'static str> {
    let [clients, ..] = &LISTS;
    [clients.selective, clients.range, clients.value]
        .into_iter()
        .flatten()
        .copied()
}

/// The price of the statements that answer a field of the root: of a list, one for its rows, one for their number.
fn of_root(field: &RootField<'_>) -> usize {
    if matches!(field.name, "clientAt" | "clientDifference") {
        return REPLAY;
    }
    if field.name == "clientChanges" && !field.filter.is_empty() {
        return changes::EXAMINED as usize;
    }
    let Some(list) = LISTS.iter().find(|list| list.field == field.name) else {
        return 0;
    };
    let search = match field.arguments.contains(&"search") {
        true => list.words(&field.filter),
        false => list.search(&field.filter),
    };
    usize::from(field.entries) * search + usize::from(field.total) * (COUNT + search)
}

impl List {
    /// The price of a search by words whose matches are checked against these members of the filter.
    fn words(&self, members: &[&str]) -> usize {
        let is_selective = members.iter().any(|name| self.selective.contains(name));
        match members.is_empty() || is_selective {
            true => WORDS,
            false => SCAN,
        }
    }

    /// The price of a search by these members of the filter.
    fn search(&self, members: &[&str]) -> usize {
        let is_selective = members.iter().any(|name| self.selective.contains(name));
        match members {
            [] => 0,
            _ if is_selective => 0,
            [only] if self.range.contains(only) => RANGE,
            [only] if self.value.contains(only) => VALUE,
            _ => SCAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use async_graphql::parser::{parse_query, types::Selection};

    use graphql_server::{RootField, Values};

    use super::{LISTS, of_root};

    /// The prices of a field's rows and of its total.
    fn prices(query: &str) -> [usize; 2] {
        let document = parse_query(query).expect("a document");
        let (_, operation) = document.operations.iter().next().expect("an operation");
        let Selection::Field(field) = &operation.node.selection_set.node.items[0].node else {
            panic!("not a field: {query}");
        };
        let values = Values::default();
        let of = |rows, total| of_root(&RootField::new(&field.node, &values, rows, total));
        assert_eq!(of(true, true), of(true, false) + of(false, true), "{query}");
        [of(true, false), of(false, true)]
    }

    /// The text of the type that begins with this line of the schema.
    fn type_of(schema: &'static str, beginning: &str) -> &'static str {
        let (_, rest) = schema.split_once(beginning).expect(beginning);
        let (text, _) = rest.split_once("\n}").expect("an end");
        text
    }

    #[test]
    fn schema_has_fields_and_members_that_prices_name() {
        let schema = include_str!("../../../schema.graphql");
        let query = type_of(schema, "\ntype Query {");
        for list in &LISTS {
            let beginning = format!("\n\t{}(", list.field);
            let (_, field) = query.split_once(&beginning).expect(list.field);
            let (arguments, _) = field.split_once("\n\t): ").expect("a type");
            let filter = arguments.split_once("\n\t\tfilter: ");
            let filter = filter.map_or("", |(_, rest)| rest.split([',', '\n']).next().unwrap_or_default());
            let members: Vec<&str> = list
                .selective
                .iter()
                .chain(list.range)
                .chain(list.value)
                .copied()
                .collect();
            assert_eq!(filter.is_empty(), members.is_empty(), "{}: {filter}", list.field);
            if members.is_empty() {
                continue;
            }
            let input = type_of(schema, &format!("\ninput {filter} {{"));
            for member in members {
                assert!(input.contains(&format!("\n\t{member}: ")), "{}: {member}", list.field);
            }
        }
    }

    /// The members of the filter of clients, and their prices alone.
    const MEMBERS: [(&str, usize); 24] = [
        ("states", 1_000),
        ("firstNameStartsWith", 1_000),
        ("lastNameStartsWith", 1_000),
        ("firstName", 3_000),
        ("lastName", 3_000),
        ("birthDate", 0),
        ("born", 1_000),
        ("emailAddress", 0),
        ("email", 0),
        ("phone", 0),
        ("documentId", 0),
        ("city", 3_000),
        ("country", 10_000),
        ("clientRoleId", 10_000),
        ("assignedBranchKey", 1_000),
        ("assignedCentreKey", 1_000),
        ("assignedUserKey", 1_000),
        ("customField", 3_000),
        ("customFields", 10_000),
        ("createdAt", 1_000),
        ("updatedAt", 1_000),
        ("or", 10_000),
        ("not", 10_000),
        // An empty list of filters has no members.
        ("and", 0),
    ];

    #[test]
    fn every_member_of_the_filter_has_a_price() {
        let schema = include_str!("../../../schema.graphql");
        let members = type_of(schema, "\ninput ClientFilter {").lines();
        let members = members.filter_map(|line| line.strip_prefix('\t')?.split_once(": "));
        let members: BTreeSet<&str> = members
            .map(|(name, _)| name)
            .filter(|name| !name.contains(' '))
            .collect();
        assert_eq!(members, MEMBERS.iter().map(|(name, _)| *name).collect());
        let of = |members: &str| prices(&format!("{{ clients(filter: {{ {members} }}) }}"))[0];
        for (one, price) in MEMBERS {
            let value = if one == "and" { "[]" } else { "1" };
            let one = format!("{one}: {value}");
            assert_eq!(of(&one), price, "{one}");
            assert_eq!(of(&format!("and: [{{ {one} }}]")), price, "{one}");
            assert_eq!(of(&format!("or: [{{ {one} }}]")), 10_000, "{one}");
            assert_eq!(of(&format!("not: {{ {one} }}")), 10_000, "{one}");
            // Checked on the few rows of a selective member, or on all of a range.
            for (other, price_of_other) in MEMBERS {
                if other == "and" || one.starts_with("and") {
                    continue;
                }
                let both = format!("{one}, and: [{{ {other}: 1 }}]");
                let expected = if price == 0 || price_of_other == 0 { 0 } else { 10_000 };
                assert_eq!(of(&both), expected, "{both}");
            }
        }
    }

    #[test]
    fn price_of_list_follows_its_search() {
        for (query, expected) in [
            ("{ clients }", [0, 100]),
            ("{ clients(filter: {}) }", [0, 100]),
            ("{ clients(filter: { states: null }) }", [0, 100]),
            ("{ clients(filter: { states: $absent }) }", [0, 100]),
            ("{ clients(filter: { states: [ACTIVE] }) }", [1_000, 1_100]),
            ("{ clients(filter: { lastNameStartsWith: \"A\" }) }", [1_000, 1_100]),
            (
                "{ clients(filter: { customField: { fieldId: \"a\", value: \"b\" } }) }",
                [3_000, 3_100],
            ),
            (
                "{ clients(filter: { states: [ACTIVE], lastNameStartsWith: \"A\" }) }",
                [10_000, 10_100],
            ),
            (
                "{ clients(filter: { states: [ACTIVE], customField: { fieldId: \"a\", value: \"b\" } }) }",
                [10_000, 10_100],
            ),
            (
                "{ clients(filter: { states: [ACTIVE], emailAddress: \"A\" }) }",
                [0, 100],
            ),
            ("{ clients(search: \"a\") }", [1_000, 1_100]),
            ("{ clients(search: null) }", [0, 100]),
            ("{ clients(search: \"a\", filter: { email: \"a\" }) }", [1_000, 1_100]),
            (
                "{ clients(search: \"a\", filter: { states: [ACTIVE] }) }",
                [10_000, 10_100],
            ),
            ("{ messages(filter: { channel: SMS }) }", [10_000, 10_100]),
            ("{ messages(filter: { templateId: \"a\" }) }", [1_000, 1_100]),
            (
                "{ messages(filter: { channel: SMS, client: { clientId: \"a\" } }) }",
                [0, 100],
            ),
            ("{ suppressions }", [0, 100]),
            ("{ suppressions(filter: { recipient: \"a\", channel: SMS }) }", [0, 100]),
            ("{ suppressions(filter: { channel: SMS }) }", [10_000, 10_100]),
            ("{ auditLog(filter: { at: {} }) }", [1_000, 1_100]),
            ("{ auditLog(filter: { at: {}, door: REST }) }", [10_000, 10_100]),
            ("{ users }", [0, 100]),
            ("{ tokens }", [0, 100]),
            ("{ sessions }", [0, 100]),
            ("{ viewer }", [0, 0]),
        ] {
            assert_eq!(prices(query), expected, "{query}");
        }
    }

    #[test]
    fn price_of_earlier_versions_covers_the_records_that_they_read() {
        let most = clientele_domain::audit::MOST_VERSIONS as usize;
        for query in [
            "{ clientDifference(to: 2) { changes { path } } }",
            "{ clientAt(version: 2) { clientId } }",
        ] {
            let document = parse_query(query).expect("a document");
            let (_, operation) = document.operations.iter().next().expect("an operation");
            let Selection::Field(field) = &operation.node.selection_set.node.items[0].node else {
                panic!("not a field");
            };
            let values = Values::default();
            let field = RootField::new(&field.node, &values, false, false);
            assert!(of_root(&field) >= most, "{query}");
        }
    }
}
