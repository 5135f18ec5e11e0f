//! A record of the audit log.

use super::connection::listed;
use crate::api::graphql::global_id;
use clientele_domain::{
    audit::{Action, Difference, HistoryPage, Record, Shown, Subject},
    caller::{Api, CallerKind},
};

object! {
    node AuditRecord = &'a Record, "One change, with its caller, time and contents. It is written together with the \
        change and never altered.";

    id id "The global ID." => |row| global_id::encode(Self::NAME, &[&row.key.chain, &row.key.position.to_string()]);
    instant at "The time of the change." => |row| row.at;
    one<AuditCaller> caller "The caller who made the change." => |row| row;
    enum<Api> door "The API or command that the change came through." => |row| row.api.as_str();
    maybe_text requestId "The ID of the request, as in its response and in the log; null if the change wasn't made by \
        a request." => |row| Some(row.request_id.as_str()).filter(|id| !id.is_empty());
    enum<Subject> subject "The kind of object that was changed." => |row| row.subject.as_str();
    text subjectKey "The key of the changed object, which may have been deleted since." => |row| &row.subject_key;
    enum<Action> action "The kind of change." => |row| row.action.as_str();
    maybe_list<AuditChange> changes "The values that changed; null if they have been erased since."
        => |row| row.changes.as_deref();
}

object! {
    type AuditCaller = &'a Record, "The caller who made a change, as of the time of the change.";

    enum<CallerKind> kind "The kind of caller." => |row| row.caller_kind.as_str();
    text id "The permanent ID of the caller among callers of its kind: the key of a user or token, or the subject of \
        an issued token." => |row| &row.caller_id;
    text name "The display name at that time." => |row| &row.caller_name;
}

object! {
    type AuditChange = &'a Shown, "A value that changed. Values of a new object have no `before`; values of a deleted \
        object have no `after`.";

    texts path "The path to the value: field names of this API, with the keys or IDs of list entries in between."
        => |row| row.path.clone();
    maybe_text before "The value before the change, as text; null if there was none." => |row| row.before.as_deref();
    maybe_text after "The value after the change, as text; null if there was none." => |row| row.after.as_deref();
    boolean masked "True if the values are hidden from you, because they are secret or belong to a custom field set \
        that you may not view." => |row| row.masked;
}

object! {
    type ClientDifference = &'a Difference, "The difference between two versions of a client.";

    int from "The earlier version; 0 is before the client was created." => |row| row.from;
    int to "The later version." => |row| row.to;
    list<AuditChange> changes "The values that differ, sorted by their paths, with those of the earlier and the later \
        version. From version 0, all values of the later version." => |row| &row.changes;
}

listed! {
    AuditRecord, "A page of audit records, newest first.", HistoryPage => records: Record;
    cursor |page, record| page.cursor(record);
    row |record, _| record
}
