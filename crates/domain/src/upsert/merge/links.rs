//! The links of other clients to the merged client, which are redirected to the other one.

use std::collections::{HashMap, HashSet};

use entity::{client, custom_field_value};

use super::{LockedClient, Merge, consequences};
use crate::{
    caller::{Caller, Permission},
    client::{
        Aggregate, ClientParts,
        aggregate::{read_all_for_change, select_for_change},
    },
    definitions::Definitions,
    enums::ClientState,
    upsert::claims::Reclaim,
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{ConcernedClients, Problem, ProblemCode},
};
use clientele_storage::db::{Batch, Dialect, Transaction, is_locked};

/// Limit of the links that a merge redirects.
pub const MOST_LINKS: usize = 500;
/// Limit of the linking clients that a problem names.
const MOST_NAMED: usize = 3;

/// The links to the merged client, by the linking clients, which are locked.
pub(super) struct Links {
    clients: Vec<LockedClient>,
    values: Vec<custom_field_value::Model>,
}

/// Locks two clients and those that link to the first, in the order of their keys, so that merges don't block each
/// other. The lock on the first also stops new links. Only for PostgreSQL.
pub(super) async fn lock(
    from_key: Option<&str>,
    into_key: Option<&str>,
    definitions: &Definitions,
    transaction: &Transaction,
) -> Result<()> {
    let linking = linking("v.client_key", transaction.dialect);
    let sql = format!(
        "SELECT c.encoded_key FROM client c WHERE c.encoded_key IN (SELECT $2::text UNION ALL SELECT $3::text \
         UNION ALL ({linking})) ORDER BY c.encoded_key"
    );
    let values = [fields(definitions)?.into(), from_key.into(), into_key.into()];
    let locked = transaction.lock_each::<client::Entity>(sql.as_str(), values.clone(), "UPDATE");
    if locked.await?.is_none() {
        transaction.all(sql + " FOR UPDATE OF c", values).await?;
    }
    Ok(())
}

/// Reads the links of other clients, and locks the clients that have stored a link since [`lock`] ran.
pub(super) async fn read(
    from_key: &str,
    into_key: &str,
    definitions: &Definitions,
    transaction: &Transaction,
) -> Result<Links> {
    let dialect = transaction.dialect;
    let values =
        || -> Result<[sea_orm::Value; 3]> { Ok([fields(definitions)?.into(), from_key.into(), into_key.into()]) };
    let which = format!(
        "WHERE c.encoded_key IN ({}) ORDER BY c.encoded_key",
        linking("v.client_key", dialect)
    );
    let keys = format!("SELECT c.encoded_key FROM client c {which}");
    let locked = transaction.lock_each::<client::Entity>(keys, values()?, "UPDATE");
    let locked = locked.await?;
    let sql = format!(
        "{} {which}{}",
        select_for_change(transaction.record_form(), ClientParts::default()),
        transaction.locking(" FOR UPDATE OF c")
    );
    let mut clients = read_all_for_change(transaction, sql, values()?).await?;
    clients.retain(|(linking, _)| is_locked(locked.as_deref(), &[&linking.client.encoded_key]));
    let row = dialect.cast_to_text(&dialect.row::<custom_field_value::Entity>("v"));
    let rows = transaction.all(linking(&row, dialect), values()?).await?;
    let values = rows.iter().map(|row| {
        let text: String = row.try_get_by_index(0)?;
        serde_json::from_str(&text).map_err(Error::internal)
    });
    let mut values: Vec<custom_field_value::Model> = values.collect::<Result<_>>()?;
    // Above the limit, each statement can find other links, and the merge is refused.
    if values.len() <= MOST_LINKS {
        values.retain(|value| is_locked(locked.as_deref(), &[&value.client_key]));
    }
    Ok(Links { clients, values })
}

/// The statement that reads the links to the client of `$2` by the fields of `$1`, one more than can be redirected. It
/// leaves out those of this client and of that of `$3`.
fn linking(columns: &str, dialect: Dialect) -> String {
    format!(
        "SELECT {columns} FROM custom_field_value v WHERE {} AND v.client_key <> $3 LIMIT {}",
        links_to(dialect),
        MOST_LINKS + 1,
    )
}

/// The condition that the custom field value `v` links another client to that of `$2`, by one of the fields of `$1`.
/// The term of the value is that of the index.
pub(crate) fn links_to(dialect: Dialect) -> String {
    let fields = dialect.is_one_of("v.field_key", "$1");
    format!("{fields} AND substr(coalesce(v.value, v.linked_key), 1, 100) = $2 AND v.client_key <> $2")
}

/// The keys of the fields that link clients, as JSON.
fn fields(definitions: &Definitions) -> Result<String> {
    let fields = definitions.fields.iter().filter(|field| field.links_clients());
    let keys: Vec<&str> = fields.map(|field| field.row.encoded_key.as_str()).collect();
    serde_json::to_string(&keys).map_err(Error::internal)
}

impl Links {
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// The problems with redirecting them.
    pub async fn problems(
        &self,
        into_key: &str,
        caller: &Caller,
        definitions: &Definitions,
        transaction: &Transaction,
    ) -> Result<Option<Problem>> {
        if self.values.len() > MOST_LINKS {
            let message = format!("A merge redirects at most {MOST_LINKS} links of other clients: remove some first.");
            return Ok(Some(Problem::new(ProblemCode::TooMany, path!["from"], message)));
        }
        let rights = &*caller.rights;
        let is_editable = |value: &custom_field_value::Model| {
            let field = definitions.field_of_key(&value.field_key);
            field.is_some_and(|field| field.is_editable(rights))
        };
        if !self.values.iter().all(is_editable) {
            let message = "Other clients link to this client by fields that you may not change.";
            return Ok(Some(Problem::new(ProblemCode::Forbidden, path!["from"], message)));
        }
        if !self.clients.iter().all(|(client, _)| rights.shows(&client.client)) {
            let message = "Clients that you can't access link to this client: a caller with access to all branches \
                           and centres can merge it.";
            return Ok(Some(Problem::new(ProblemCode::Forbidden, path!["from"], message)));
        }
        if let Some(clients) = self.blacklisted(caller, definitions) {
            let message = "Blacklisted clients link to this client, and can't be edited: change their state first.";
            return Ok(Some(Problem {
                clients: Some(Box::new(clients)),
                ..Problem::new(ProblemCode::Blacklisted, path!["from"], message)
            }));
        }
        if self.claims(into_key, definitions).is_taken(transaction).await? {
            let message = "Another client links to each of the two clients by a field whose values must be unique: \
                           remove one of the links first.";
            return Ok(Some(Problem::new(ProblemCode::Taken, path!["from"], message)));
        }
        Ok(None)
    }

    /// The linking clients that are blacklisted, with the ids of some whose links the caller may see; none if there are
    /// none.
    fn blacklisted(&self, caller: &Caller, definitions: &Definitions) -> Option<ConcernedClients> {
        let shown = self.values.iter().filter(|value| {
            let field = definitions.field_of_key(&value.field_key);
            field.is_some_and(|field| field.is_shown(&caller.rights))
        });
        let shown: HashSet<&str> = match caller.can(Permission::ViewClient) {
            true => shown.map(|value| &*value.client_key).collect(),
            false => HashSet::new(),
        };
        let rows = self.clients.iter().map(|(client, _)| &client.client);
        let rows: Vec<_> = rows
            .filter(|row| row.state == ClientState::Blacklisted.as_str())
            .collect();
        let named = rows.iter().filter(|row| shown.contains(&*row.encoded_key));
        (!rows.is_empty()).then(|| ConcernedClients {
            count: rows.len() as i64,
            ids: named.take(MOST_NAMED).map(|row| row.client_id.clone()).collect(),
        })
    }

    fn claims(&self, into_key: &str, definitions: &Definitions) -> Reclaim {
        let redirected: Vec<_> = self.values.iter().map(|value| redirected(value, into_key)).collect();
        Reclaim::of(&self.values, &redirected, definitions)
    }

    /// Redirects the links to the other client. Returns false to start over: another client has just claimed a unique
    /// value.
    pub async fn redirect(
        self,
        into_key: &str,
        merge: &Merge<'_>,
        definitions: &Definitions,
        transaction: &Transaction,
        batch: &mut Batch,
    ) -> Result<bool> {
        if !self.claims(into_key, definitions).write(transaction).await? {
            return Ok(false);
        }
        let mut by_client: HashMap<String, Vec<custom_field_value::Model>> = HashMap::new();
        for value in self.values {
            by_client.entry(value.client_key.clone()).or_default().push(value);
        }
        let changes = self.clients.into_iter().map(|(client, head)| {
            let links = by_client.remove(&client.client.encoded_key).unwrap_or_default();
            let after = Aggregate {
                custom_values: Some(links.iter().map(|link| redirected(link, into_key)).collect()),
                ..client.clone()
            };
            let before = Aggregate {
                custom_values: Some(links),
                ..client
            };
            ((before, head), after)
        });
        let changes = changes.collect();
        let Merge {
            clients, caller, now, ..
        } = merge;
        consequences::put(clients, caller, changes, definitions, *now, transaction, batch).await?;
        Ok(true)
    }
}

fn redirected(value: &custom_field_value::Model, into_key: &str) -> custom_field_value::Model {
    custom_field_value::Model {
        linked_key: Some(into_key.to_owned()),
        ..value.clone()
    }
}
