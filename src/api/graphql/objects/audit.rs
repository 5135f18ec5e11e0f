//! A record of the audit log.

use std::borrow::Cow;

use super::connection::{Listed, Words};
use crate::api::graphql::{global_id::GlobalId, loaded::LoadedData};
use clientele_domain::{
    audit::{Action, HistoryPage, Record, Shown, Subject},
    caller::{CallerKind, Door},
};
use graphql_server::object::{Field, FieldKind, Object, Selection, list_of, maybe_list, object, one_of};

pub struct AuditRecord;

impl Object for AuditRecord {
    const NAME: &'static str = "AuditRecord";
    const DESCRIPTION: &'static str =
        "Who changed what, when and how. Written with the change itself, and never changed.";
    const IS_NODE: bool = true;
    type Row<'a> = &'a Record;
    const FIELDS: &'static [Field<Self>] = &[
        Field::id("id", "The global id.", |row| {
            let (chain, position) = (row.key.chain.clone(), row.key.position.to_string());
            GlobalId::AuditRecord { chain, position }.encode()
        }),
        Field::instant("at", "When it was done.", |row| row.at),
        Field {
            name: "caller",
            description: "Who did it.",
            kind: FieldKind::Objects {
                ty: one_of::<AuditCaller>,
                select: Selection::of::<AuditCaller>,
                arguments: &[],
                write: |row, field, json| object::<AuditCaller>(row, &field.selection, json),
            },
        },
        Field::one_of::<Door>("door", "The way it came in.", |row| Some(row.door.as_str())),
        Field::maybe_text(
            "requestId",
            "The id of the request, as in its answer and in the log; null when it was no request.",
            |row| Some(row.request_id.as_str()).filter(|id| !id.is_empty()),
        ),
        Field::one_of::<Subject>("subject", "What kind of thing was changed.", |row| {
            Some(row.subject.as_str())
        }),
        Field::text(
            "subjectKey",
            "The key of what was changed, which may be no more.",
            |row| Cow::Borrowed(&row.subject_key),
        ),
        Field::one_of::<Action>("action", "What was done to it.", |row| Some(row.action.as_str())),
        Field {
            name: "changes",
            description: "The members that changed; null once they have been erased.",
            kind: FieldKind::Objects {
                ty: |registry| list_of::<AuditChange>(registry).trim_end_matches('!').to_owned(),
                select: Selection::of::<AuditChange>,
                arguments: &[],
                write: |row, field, json| maybe_list::<AuditChange>(row.changes.as_deref(), &field.selection, json),
            },
        },
    ];
}

pub struct AuditCaller;

impl Object for AuditCaller {
    const NAME: &'static str = "AuditCaller";
    const DESCRIPTION: &'static str = "Who did something, as it was then.";
    type Row<'a> = &'a Record;
    const FIELDS: &'static [Field<Self>] = &[
        Field::one_of::<CallerKind>("kind", "What kind of caller it was.", |row| {
            Some(row.caller_kind.as_str())
        }),
        Field::text(
            "id",
            "What tells callers of one kind apart and never changes: the key of a user or token, the subject of an issued token.",
            |row| Cow::Borrowed(&row.caller_id),
        ),
        Field::text("name", "What people called it then.", |row| {
            Cow::Borrowed(&row.caller_name)
        }),
    ];
}

pub struct AuditChange;

impl Object for AuditChange {
    const NAME: &'static str = "AuditChange";
    const DESCRIPTION: &'static str =
        "A member that changed. What is new had no values before, and what was deleted has none after.";
    type Row<'a> = &'a Shown;
    const FIELDS: &'static [Field<Self>] = &[
        Field::texts(
            "path",
            "Where it is: names of this API, with the keys or ids of list members in between.",
            |row| row.path.clone(),
        ),
        Field::maybe_text(
            "before",
            "The value before, as text; null when there was none.",
            |row| row.before.as_deref(),
        ),
        Field::maybe_text("after", "The value after, as text; null when there was none.", |row| {
            row.after.as_deref()
        }),
        Field::boolean(
            "masked",
            "Whether the values are kept from you: they are secret, or of a set that you may not view.",
            |row| row.masked,
        ),
    ];
}

impl Listed for AuditRecord {
    type Page = HistoryPage;
    const WORDS: Words = Words {
        connection: "AuditRecordConnection",
        page: "A page of records, newest first.",
        edges: "The records of the page, each with its cursor.",
        nodes: "The records of the page.",
        total: "The number of records in the list, exact up to 10,000: see `totalCountPrecision`. Counted only if \
                selected.",
        edge: "AuditRecordEdge",
        entry: "A record in a page.",
        cursor: "Where the record stands in the list: for `after` and `before`.",
        node: "The record.",
    };

    fn more(page: &HistoryPage) -> (bool, bool) {
        (page.records.has_next, page.records.has_previous)
    }

    fn count(page: &HistoryPage) -> usize {
        page.records.rows.len()
    }

    fn cursor(page: &HistoryPage, at: usize) -> String {
        page.cursor(&page.records.rows[at])
    }

    fn row<'a>(page: &'a HistoryPage, at: usize, _: &'a LoadedData) -> &'a Record {
        &page.records.rows[at]
    }
}
