//! The root field that lists the audit log, and its filter.

use async_graphql::{Context, InputObject, Object as Root, Result};

use super::{
    client_by::ClientBy,
    context::{caller, loaders, selection},
    load_plan::{LoadPlan, asked, asks_changes},
    loaded::{LoadedData, too_large},
    objects::{
        audit::AuditRecord,
        connection::{Connection, PageRow},
    },
    page::{PageArguments, of_argument},
};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};
use clientele_domain::{
    audit::{self, Action, AuditLog, NEWEST_FIRST, Subject},
    caller::{CallerKind, Door},
};
use clientele_storage::paging::{Asked, DateTimeRange, Window};
use graphql_server::object::RawObject;

/// Narrows a list of records: all members that are given must hold. `action`, `door` and `callerKind` take, beside
/// them, `at` with `from` and `until` at most 31 days apart, or `client`, `subjectKey` or a `subject` other than
/// CLIENT: what nothing leads to would be looked for in the whole history. The actions DELETED and ERASED can stand
/// alone.
#[derive(InputObject, Default)]
pub struct AuditFilter {
    /// Changes of this client. Naming it by its clientId needs VIEW_CLIENT.
    client: Option<ClientBy>,
    /// Changes of this kind of thing.
    subject: Option<Subject>,
    /// Changes of the thing with this key.
    subject_key: Option<String>,
    /// Changes by callers of this kind.
    caller_kind: Option<CallerKind>,
    /// Changes by the caller with this id.
    caller_id: Option<String>,
    /// Changes of this kind.
    action: Option<Action>,
    /// Changes that came in this way.
    door: Option<Door>,
    /// Changes in this range of time.
    at: Option<DateTimeRange>,
}

impl AuditFilter {
    fn read(self) -> Result<audit::AuditFilter, Problem> {
        let Self {
            client,
            subject,
            subject_key,
            caller_kind,
            caller_id,
            action,
            door,
            at,
        } = self;
        let client = client.map(|by| {
            by.named().ok_or_else(|| {
                let message = "This isn't the global id of a client.";
                Problem::new(ProblemCode::Invalid, path!["filter", "client", "id"], message)
            })
        });
        Ok(audit::AuditFilter {
            client: client.transpose()?,
            subject,
            subject_key,
            caller_kind,
            caller_id,
            action,
            door,
            at,
        })
    }
}

/// Reads the history.
#[derive(Default)]
pub struct AuditQuery;

/// Reads the history.
#[Root]
impl AuditQuery {
    /// A page of the history, newest first: who changed what, when and how. Cursors name a place in this order, not a
    /// number: no record is skipped or repeated because others come.
    async fn audit_log(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which records; all of them without it.")] filter: Option<AuditFilter>,
        #[graphql(desc = "How many from the start, or after `after`: 50 unless given, at most 500.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only records after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, or before `before`: at most 500. Not together with `first`.")]
        last: Option<i32>,
        #[graphql(desc = "Only records before this cursor.")] before: Option<String>,
    ) -> Result<RawObject<Connection<AuditRecord>>> {
        let arguments = PageArguments {
            first: first.map(i64::from),
            after,
            last: last.map(i64::from),
            before,
        };
        let of_argument = |problem| of_argument("", &problem);
        let filter = filter.unwrap_or_default().read().map_err(of_argument)?;
        let window = Window::of(&arguments.range("records", "")?, &NEWEST_FIRST).map_err(of_argument)?;
        let selection = selection::<Connection<AuditRecord>>(context)?;
        let caller = caller(context)?;
        let asked = Asked {
            contents: asks_changes(&selection),
            ..asked(&selection)
        };
        let page = context
            .data::<AuditLog>()?
            .page(caller, &filter, &window, asked)
            .await?;
        let page = page.map_err(of_argument)?;
        if page.bytes > audit::LARGEST_CONTENTS {
            return Err(too_large().into());
        }
        // Records lead nowhere else.
        let loaded = LoadedData::around_messages([], &LoadPlan::default(), loaders(context)?, caller).await?;
        let row = PageRow {
            page: &page,
            loaded: &loaded,
            total: page.total,
        };
        RawObject::object(context, row, &selection)
    }
}
