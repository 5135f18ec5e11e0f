//! Checks clients of a file, and makes their rows, before their transaction begins.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, SubsecRound, Utc};
use entity::{
    address, audit_record, client, client_id_claim, client_search, custom_field_claim, custom_field_value, id_document,
    id_document_search,
};
use sea_orm::ConnectionTrait;

use super::{Import, ImportRules, ImportedClient, history, values::stored_values};
use crate::{
    audit::{Action, Chain, Change, CheckedPart, Head, Subject},
    caller::{Caller, Permission},
    client::{Aggregate, Clients, search::SearchRows},
    definitions::Definitions,
    upsert::{
        HEAD_COLUMNS,
        check::{ValidationContext, check, no_linked_client},
        claims::{Claim, claims},
        diff::ClientDiff,
    },
};
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Connection, NewRows};

/// Clients of a file that were checked before their transaction begins, so that this is done while others are stored.
#[derive(Debug)]
pub struct CheckedClients {
    /// Without their histories.
    pub(super) list: Vec<ImportedClient>,
    pub(super) rules: ImportRules,
    pub(super) now: DateTime<Utc>,
    pub(super) definitions: Arc<Definitions>,
    /// The audit records that their lines have, and the ends of these. No definition changes them.
    histories: Vec<Option<Result<(CheckedPart, Head), Problem>>>,
    /// The results by these definitions.
    pub(super) checks: Checks,
}

/// The results of checks that don't depend on other clients.
#[derive(Debug)]
pub(super) struct Checks {
    pub results: Vec<Result<CheckedClient, Vec<Problem>>>,
    /// A part for each client: its rows in all tables. It has none if it is refused, and before it has an id.
    pub rows: NewRows,
}

#[derive(Clone, Debug)]
pub(super) struct CheckedClient {
    pub client: Aggregate,
    pub claims: BTreeSet<Claim>,
}

impl CheckedClients {
    /// The clients, in their order, without their histories.
    pub fn list(&self) -> &[ImportedClient] {
        &self.list
    }

    /// Returns how many audit records of a client of the list couldn't be verified.
    pub fn unverified(&self, index: usize) -> u64 {
        self.history(index).map_or(0, |(part, _)| part.unverified)
    }

    /// Returns true if the line of a client of the list has audit records that can be stored.
    pub fn has_records(&self, index: usize) -> bool {
        self.history(index).is_some_and(|(part, _)| !part.rows.is_empty())
    }

    /// The verified audit records on the line of a client, and their end.
    pub(super) fn history(&self, index: usize) -> Option<&(CheckedPart, Head)> {
        self.histories.get(index)?.as_ref()?.as_ref().ok()
    }

    /// Returns the keys that a client of the list links to or was merged into, each with the problem to report if no
    /// client has it after the import. Clients of an export may have lost them before: they have none.
    pub fn references<'a>(&'a self, client: &'a ImportedClient) -> Vec<(&'a str, Problem)> {
        if self.rules == ImportRules::Stored {
            return Vec::new();
        }
        let values = client.input.custom_information.value().into_iter().flatten();
        let links = values.enumerate().filter_map(|(index, value)| {
            let field = self.definitions.field(&value.field_id)?;
            let key = value.linked_key.value().filter(|_| field.links_clients())?;
            let place = path!["customInformation", index, "linkedKey"];
            let problem = Problem::new(ProblemCode::NotFound, place, no_linked_client(field));
            Some((key.as_str(), problem))
        });
        let merged = client.merged_into().map(|key| {
            let message = "The client was merged into one that isn't stored: import that one, too.";
            let place = path!["client", "mergedIntoKey"];
            (key, Problem::new(ProblemCode::NotFound, place, message))
        });
        links.chain(merged).collect()
    }
}

impl Clients {
    /// Checks the clients of a file, without what only their transaction can know.
    ///
    /// # Errors
    /// [`Error::Forbidden`](clientele_core::error::Error::Forbidden) without CREATE_CLIENT.
    pub async fn check_import(
        &self,
        caller: &Caller,
        mut list: Vec<ImportedClient>,
        rules: ImportRules,
        now: DateTime<Utc>,
    ) -> Result<CheckedClients> {
        caller.require(Permission::CreateClient)?;
        let definitions = self.definitions.current().await?;
        let keys = (&self.audit, self.audit.keys(self.db.read()).await?);
        let histories = list.iter_mut().map(|client| {
            let part = client.history.take()?;
            Some(history::sealed(part, client.key(), rules, keys))
        });
        let mut checked = CheckedClients {
            histories: histories.collect(),
            list,
            rules,
            now: now.trunc_subsecs(6),
            definitions,
            checks: Checks {
                results: Vec::new(),
                rows: NewRows::new(self.db.read().dialect),
            },
        };
        let import = Import {
            clients: self,
            caller,
            checked: &checked,
        };
        checked.checks = import.check_all(&checked.definitions, self.db.read()).await?;
        Ok(checked)
    }
}

impl Import<'_> {
    /// Checks all clients by these definitions, each by itself.
    pub(super) async fn check_all<C: ConnectionTrait>(
        &self,
        definitions: &Definitions,
        connection: &Connection<C>,
    ) -> Result<Checks> {
        let mut rows = NewRows::new(connection.dialect);
        let mut results = Vec::with_capacity(self.checked.list.len());
        for index in 0..self.checked.list.len() {
            let checked = self.check(index, definitions);
            if let Ok(checked) = &checked
                && !checked.client.client.client_id.is_empty()
            {
                self.add_rows(&mut rows, index, checked, definitions, connection)
                    .await?;
            }
            rows.end_part();
            results.push(checked);
        }
        Ok(Checks { results, rows })
    }

    fn check(&self, index: usize, definitions: &Definitions) -> Result<CheckedClient, Vec<Problem>> {
        let own = &self.checked.list[index];
        let links = own.input.custom_information.value().into_iter().flatten();
        let exported = match self.checked.rules {
            ImportRules::New => None,
            ImportRules::Stored => Some(stored_values(own, definitions)?),
        };
        let context = ValidationContext {
            caller: self.caller,
            stored: None,
            is_change: false,
            definitions,
            // The linked clients may come later in the file.
            linked: links.filter_map(|value| value.linked_key.value().cloned()).collect(),
            // The transaction checks this.
            is_id_taken: false,
            exported: exported.as_deref(),
            settings: &self.clients.settings,
            now: self.checked.now,
        };
        let checked = check(&own.input, &context)?;
        let client = own.with_own(checked).map_err(|problem| vec![problem])?;
        if let Some(Err(problem)) = &self.checked.histories[index] {
            return Err(vec![problem.clone()]);
        }
        Ok(CheckedClient {
            claims: claims(client.custom_values.as_ref(), definitions),
            client,
        })
    }

    /// Adds the rows of a client with its audit records, or with one of its creation, by tables in an order that
    /// references allow.
    pub(super) async fn add_rows<C: ConnectionTrait>(
        &self,
        rows: &mut NewRows,
        index: usize,
        checked: &CheckedClient,
        definitions: &Definitions,
        connection: &Connection<C>,
    ) -> Result<()> {
        let CheckedClient { client, claims } = checked;
        let row = &client.client;
        let (audit, begin, now) = (&self.clients.audit, Head::default(), self.checked.now);
        let created;
        let (records, head) = match self.checked.history(index) {
            Some((part, head)) => (&part.rows[..], head.clone()),
            None => {
                let change = Change {
                    chain: Chain::Client(&row.encoded_key),
                    subject: Subject::Client,
                    subject_key: &row.encoded_key,
                    action: Action::Created,
                    members: ClientDiff::between(None, client).members(definitions),
                };
                let (record, head) = audit.seal(connection, self.caller, &change, &begin, now).await?;
                created = [record];
                (&created[..], head)
            }
        };
        let id = client_id_claim::Model {
            client_id: row.client_id.clone(),
            client_key: row.encoded_key.clone(),
        };
        let claims: Vec<_> = claims.iter().map(|claim| claim.row(&row.encoded_key)).collect();
        let searched = SearchRows::of(client);
        rows.add_with::<client::Entity, 2>(HEAD_COLUMNS, [(row, [head.seal.into(), head.count.into()])]);
        rows.add::<client_id_claim::Entity>([&id]);
        rows.add::<custom_field_claim::Entity>(&claims);
        rows.add::<address::Entity>(client.addresses.iter().flatten());
        rows.add::<id_document::Entity>(client.id_documents.iter().flatten());
        rows.add::<custom_field_value::Entity>(client.custom_values.iter().flatten());
        rows.add::<client_search::Entity>([&searched.client]);
        rows.add::<id_document_search::Entity>(&searched.id_documents);
        rows.add::<audit_record::Entity>(records);
        Ok(())
    }
}
