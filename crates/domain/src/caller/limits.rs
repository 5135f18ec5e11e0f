//! Limits a caller to the clients of some branches and centres. Outside of them, clients don't exist for the caller.
//!
//! [`Rights::shows`] checks a client that is loaded, and conditions in SQL select those that are stored: both
//! follow the same rule.

use entity::client;
use sea_orm::{ConnectionTrait, Value};

use super::{Limit, Rights};
use clientele_core::error::Result;
use clientele_storage::{
    db::{Connection, Dialect},
    paging::Conditions,
};

/// Up to this number of clients, the statement of a list starts from their keys.
const FEW: i64 = 1_000;

/// The number of clients that exist for a caller. The databases estimate it badly, and a list in the order of an index
/// would examine all rows for the few of a small branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Few enough for a statement to find their keys first.
    Few,
    /// Enough for a statement to fill a page soon when it checks the rows of the list one by one.
    Many,
}

impl Rights {
    /// Returns true if these rights are limited to some clients.
    pub fn are_limited(&self) -> bool {
        self.branches != Limit::None || self.centres != Limit::None
    }

    /// Returns true if the client exists for a caller with these rights.
    pub fn shows(&self, client: &client::Model) -> bool {
        self.branches.allows(client.assigned_branch_key.as_deref())
            && self.centres.allows(client.assigned_centre_key.as_deref())
    }

    /// Returns the condition that [`Self::shows`] holds for the row `alias` of the table `client`; none if it always
    /// does. `bind` binds a text and returns its placeholder.
    fn condition(&self, dialect: Dialect, alias: &str, mut bind: impl FnMut(String) -> String) -> Option<String> {
        let columns = [
            ("assigned_branch_key", &self.branches),
            ("assigned_centre_key", &self.centres),
        ];
        let terms = columns.into_iter().filter_map(|(column, limit)| {
            let column = format!("{alias}.{column}");
            Some(match limit {
                Limit::None => return None,
                Limit::To(keys) if keys.is_empty() => "FALSE".to_owned(),
                Limit::To(keys) => match limit.only() {
                    // With an equality, an index lists the clients of one branch in order.
                    Some(key) => format!("{column} = {}", bind(key.clone())),
                    None => dialect.is_one_of(&column, &bind(serde_json::json!(keys).to_string())),
                },
            })
        });
        let terms: Vec<String> = terms.collect();
        (!terms.is_empty()).then(|| terms.join(" AND "))
    }

    /// Counts the clients of these rights, with one statement if there is a limit.
    pub(crate) async fn share<C: ConnectionTrait>(&self, connection: &Connection<C>) -> Result<Share> {
        let mut conditions = Conditions::new(connection.dialect);
        self.limit(&mut conditions, Share::Many);
        if conditions.is_empty() {
            return Ok(Share::Many);
        }
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM client c {} LIMIT {}) counted",
            conditions.clause(),
            FEW + 1
        );
        let row = connection.one(sql, conditions.values).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(if count > FEW { Share::Many } else { Share::Few })
    }

    /// Limits a list of clients `c` to those of these rights.
    pub(crate) fn limit(&self, conditions: &mut Conditions, share: Share) {
        let (dialect, alias) = (conditions.dialect, if share == Share::Few { "o" } else { "c" });
        let term = self.condition(dialect, alias, |text| conditions.bind(text));
        let term = term.map(|term| match share {
            Share::Few => is_one_of(dialect, "c.encoded_key", &keys_where(&term)),
            Share::Many => term,
        });
        term.into_iter().for_each(|term| conditions.push(term));
    }

    /// Limits a list to rows of the clients of these rights, whose keys are in `column`, and to those with one of these
    /// literals in that column.
    pub(crate) fn limit_owners(&self, conditions: &mut Conditions, column: &str, others: &[&str], share: Share) {
        let dialect = conditions.dialect;
        let Some(term) = self.condition(dialect, "o", |text| conditions.bind(text)) else {
            return;
        };
        let others: Vec<String> = others.iter().map(|other| format!("'{other}'")).collect();
        conditions.push(match share {
            Share::Few => {
                let others = others.iter().map(|other| format!(" UNION ALL SELECT {other}"));
                is_one_of(dialect, column, &(keys_where(&term) + &others.collect::<String>()))
            }
            Share::Many => {
                let owner = format!("EXISTS ({} AND o.encoded_key = {column})", keys_where(&term));
                match others.is_empty() {
                    true => owner,
                    false => format!("({column} IN ({}) OR {owner})", others.join(", ")),
                }
            }
        });
    }

    /// Returns ` AND …` with the same condition for a statement whose placeholders are bound to `values`, to which it
    /// adds its own. Empty if there is no limit.
    pub(crate) fn and_limit(&self, dialect: Dialect, alias: &str, values: &mut Vec<Value>) -> String {
        let bind = |text: String| {
            values.push(text.into());
            format!("${}", values.len())
        };
        let term = self.condition(dialect, alias, bind);
        term.map(|term| format!(" AND {term}")).unwrap_or_default()
    }
}

fn keys_where(term: &str) -> String {
    format!("SELECT o.encoded_key FROM client o WHERE {term}")
}

/// The condition that `column` is one of the keys that a query selects. The database reads these keys first.
fn is_one_of(dialect: Dialect, column: &str, keys: &str) -> String {
    match dialect {
        Dialect::Postgres => format!("{column} = ANY(ARRAY({keys}))"),
        Dialect::Sqlite => format!("{column} IN ({keys})"),
    }
}

#[cfg(test)]
mod tests {
    use entity::client;

    use super::{Limit, Rights, Share};
    use clientele_storage::{db::Dialect, paging::Conditions};

    fn to(keys: &[&str]) -> Limit {
        Limit::To(keys.iter().map(ToString::to_string).collect())
    }

    fn rights(branches: Limit, centres: Limit) -> Rights {
        Rights {
            branches,
            centres,
            ..Rights::all()
        }
    }

    #[test]
    fn a_client_must_be_of_a_branch_and_of_a_centre() {
        let client = |branch: Option<&str>, centre: Option<&str>| client::Model {
            assigned_branch_key: branch.map(str::to_owned),
            assigned_centre_key: centre.map(str::to_owned),
            ..client::Model::default()
        };
        let clients = [
            client(None, None),
            client(Some("b1"), None),
            client(None, Some("c1")),
            client(Some("b1"), Some("c1")),
            client(Some("b2"), Some("c2")),
        ];
        for (rights, shown) in [
            (rights(Limit::None, Limit::None), [true; 5]),
            (rights(to(&["b1"]), Limit::None), [false, true, false, true, false]),
            (rights(to(&["b1", "b2"]), Limit::None), [false, true, false, true, true]),
            (rights(Limit::None, to(&["c1"])), [false, false, true, true, false]),
            (rights(to(&["b1"]), to(&["c1"])), [false, false, false, true, false]),
            (rights(to(&["b1"]), to(&["c2"])), [false; 5]),
            (rights(to(&[]), Limit::None), [false; 5]),
        ] {
            let found: Vec<bool> = clients.iter().map(|client| rights.shows(client)).collect();
            assert_eq!(found, shown, "{rights:?}");
        }
    }

    #[test]
    fn limits_cover_only_what_they_allow() {
        for (own, other, covered) in [
            (Limit::None, Limit::None, true),
            (Limit::None, to(&["a"]), true),
            (to(&["a", "b"]), to(&["a"]), true),
            (to(&["a"]), to(&[]), true),
            (to(&["a"]), to(&["a", "b"]), false),
            (to(&["a"]), Limit::None, false),
            (to(&[]), Limit::None, false),
        ] {
            for (own, other) in [
                (rights(own.clone(), Limit::None), rights(other.clone(), Limit::None)),
                (rights(Limit::None, own.clone()), rights(Limit::None, other.clone())),
            ] {
                assert_eq!(own.cover(&other), covered, "{own:?} {other:?}");
                assert!(Rights::all().cover(&other));
            }
        }
        assert!(!rights(to(&["a"]), Limit::None).are_all());
    }

    #[test]
    fn conditions_depend_on_the_limits_and_not_on_their_keys() {
        let conditions = |rights: &Rights| {
            let mut conditions = Conditions::new(Dialect::Sqlite);
            rights.limit(&mut conditions, Share::Many);
            (conditions.clause(), conditions.values.len())
        };
        let several = "WHERE c.assigned_branch_key IN (SELECT value FROM json_each($1))";
        for (rights, clause, values) in [
            (rights(Limit::None, Limit::None), "", 0),
            (rights(to(&["a"]), Limit::None), "WHERE c.assigned_branch_key = $1", 1),
            (rights(to(&["a", "b"]), Limit::None), several, 1),
            (rights(to(&["a", "b", "c"]), Limit::None), several, 1),
            (
                rights(to(&["a"]), to(&["b"])),
                "WHERE c.assigned_branch_key = $1 AND c.assigned_centre_key = $2",
                2,
            ),
            (
                rights(to(&[]), to(&["b"])),
                "WHERE FALSE AND c.assigned_centre_key = $1",
                1,
            ),
        ] {
            assert_eq!(conditions(&rights), (clause.to_owned(), values), "{rights:?}");
        }
    }
}
