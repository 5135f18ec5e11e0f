//! The root fields that read the audit log: its records, and earlier versions of a client.

use async_graphql::{Context, InputObject, Object as Root, Result};

use super::{
    client_by::ClientBy,
    context::{Answer, caller, loaders, selection},
    load_plan::{LoadPlan, requested},
    loaded::{LoadedData, too_large},
    objects::{
        audit::{AuditRecord, ClientDifference},
        client::ClientVersion,
        connection::{Connection, PageRow},
    },
    page::{PageArguments, of_argument},
};
use clientele_core::problem::Problem;
use clientele_domain::{
    audit::{self, Action, AuditLog, NEWEST_FIRST, Subject},
    caller::{Api, CallerKind},
    client::Clients,
};
use clientele_storage::paging::DateTimeRange;
use graphql_server::object::RawObject;

/// Limits a list of audit records: all given fields must match. `action`, `door` and `callerKind` would search the
/// whole log: combine them with `at` (`from` and `until` at most 31 days apart), `client`, `subjectKey`, or a `subject`
/// other than CLIENT. The actions DELETED and ERASED can be used alone.
#[derive(InputObject, Default)]
pub struct AuditFilter {
    /// Changes to this client. Naming it by `clientId` requires VIEW_CLIENT.
    client: Option<ClientBy>,
    /// Changes to objects of this kind.
    subject: Option<Subject>,
    /// Changes to the object with this key.
    subject_key: Option<String>,
    /// Changes by callers of this kind.
    caller_kind: Option<CallerKind>,
    /// Changes by the caller with this ID.
    caller_id: Option<String>,
    /// Changes of this kind.
    action: Option<Action>,
    /// Changes through this API or the command line.
    door: Option<Api>,
    /// Changes in this range of time.
    at: Option<DateTimeRange>,
}

impl AuditFilter {
    fn read(self) -> Result<audit::AuditFilter, Problem> {
        Ok(audit::AuditFilter {
            client: ClientBy::in_filter(self.client)?,
            subject: self.subject,
            subject_key: self.subject_key,
            caller_kind: self.caller_kind,
            caller_id: self.caller_id,
            action: self.action,
            api: self.door,
            at: self.at,
        })
    }
}

/// Reads the audit log.
#[derive(Default)]
pub struct AuditQuery;

/// Reads the audit log.
#[Root]
impl AuditQuery {
    /// The difference between two versions of a client, from its history; null if the client doesn't exist. From
    /// version 0, it is the client as of the other version. Requires AUDIT and VIEW_CLIENT.
    async fn client_difference(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The client.")] by: ClientBy,
        #[graphql(desc = "The earlier version; 0 is before the client was created.", default)] from: i32,
        #[graphql(desc = "The later version.")] to: i32,
    ) -> Result<Answer<ClientDifference>> {
        let Some(by) = by.named() else { return Ok(None) };
        let audit_log = context.data::<AuditLog>()?;
        let caller = caller(context)?;
        let definitions = loaders(context)?.loader().definitions_to_mask(&caller.rights).await?;
        let difference = audit_log
            .difference(caller, &by, from.into(), to.into(), &*definitions)
            .await?;
        let Some(difference) = difference.map_err(|problem| of_argument("", &problem))? else {
            return Ok(None);
        };
        let selection = selection::<ClientDifference>(context)?;
        Ok(Some(RawObject::object(context, &difference, &selection)?))
    }

    /// A client as of a version, from its history; null if the client doesn't exist now. Requires AUDIT and
    /// VIEW_CLIENT.
    async fn client_at(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The client.")] by: ClientBy,
        #[graphql(desc = "The version, from 1.")] version: i32,
    ) -> Result<Answer<ClientVersion>> {
        let Some(by) = by.named() else { return Ok(None) };
        let clients = context.data::<Clients>()?;
        let found = clients.at_version(caller(context)?, &by, version).await?;
        let Some(found) = found.map_err(|problem| of_argument("", &problem))? else {
            return Ok(None);
        };
        let selection = selection::<ClientVersion>(context)?;
        Ok(Some(RawObject::object(context, (&found.client, &found), &selection)?))
    }

    /// A page of the audit log, newest first. New records don't make pages skip or repeat records. Requires AUDIT.
    async fn audit_log(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only records that match; all records by default.")] filter: Option<AuditFilter>,
        #[graphql(desc = "Number of entries from the start: 50 by default, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Only entries after this cursor.")] after: Option<String>,
        #[graphql(desc = "Number of entries from the end: at most 500. Not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only entries before this cursor.")] before: Option<String>,
    ) -> Result<Answer<Connection<AuditRecord>>> {
        let arguments = PageArguments::new(first, after, last, before);
        let of_argument = |problem| of_argument("", &problem);
        let filter = filter.unwrap_or_default().read().map_err(of_argument)?;
        let window = arguments.window("records", "", &NEWEST_FIRST)?;
        let selection = selection::<Connection<AuditRecord>>(context)?;
        let caller = caller(context)?;
        let audit_log = context.data::<AuditLog>()?;
        let page = audit_log.page(caller, &filter, &window, requested(&selection)).await?;
        let definitions = loaders(context)?.loader().definitions_to_mask(&caller.rights).await?;
        let page = page.map_err(of_argument)?.hide_values(&*definitions, &caller.rights);
        if page.bytes > audit::LARGEST_CONTENTS {
            return Err(too_large().into());
        }
        // Records lead nowhere else.
        let loaded = LoadedData::around_messages([], &LoadPlan::default(), loaders(context)?, caller).await?;
        let row = PageRow {
            list: &page,
            loaded: &loaded,
        };
        RawObject::object(context, row, &selection).map(Some)
    }
}
