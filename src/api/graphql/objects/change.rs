//! A change of a client, as the change feed has it.

use super::{
    audit::{AuditCaller, AuditRecord},
    client::Client,
};
use crate::api::graphql::loaded::LoadedData;
use clientele_domain::changes::{ChangeKind, ChangePage, ClientChange as Change, Position};

/// A page of the feed, with the end of the feed if it is selected and the data around the changes.
#[derive(Clone, Copy)]
pub struct ChangesRow<'a> {
    pub page: &'a ChangePage,
    pub end: Option<&'a Position>,
    pub loaded: &'a LoadedData,
}

object! {
    type ClientChanges = ChangesRow<'a>, "A page of the change feed.";

    list<ClientChange> nodes "The changes, in the order of the feed."
        => |row| row.page.changes.iter().map(|change| (change, row.loaded));
    text position "The position to continue from, as `after` of the next page. With an empty page and `hasMore` false, \
        you have every change up to here." => |row| row.page.position.to_string();
    boolean hasMore "True if there are changes after `position`, which the filter may leave out: continue at once. \
        False: ask again later." => |row| row.page.has_more;
    text end "The position after all changes that can be read now." => |row| {
        row.end.map(ToString::to_string).unwrap_or_default()
    };
}

object! {
    type ClientChange = (&'a Change, &'a LoadedData), "A committed change of a client.";

    text position "The position after this change, to continue from." => |(row, _)| row.position.to_string();
    text clientKey "The key of the client." => |(row, _)| &row.client_key;
    int version "The version of the client that this change made. Changes of a client come in the order of their \
        versions. Ignore a change whose version you have, except DELETED, ERASED and LEFT." => |(row, _)| row.version;
    enum<ChangeKind> kind "The kind of change." => |(row, _)| row.kind.as_str();
    instant at "The time of the change. Clocks of servers differ: it doesn't order changes." => |(row, _)| row.at;
    list<ChangedMember> members "The members that changed; all members of a new or deleted client. Custom fields that \
        you may not view are left out. Empty after the contents have been erased." => |(row, _)| row.members.iter();
    maybe<AuditCaller> caller "The caller who made the change. Null if you may not view the client any more."
        => |(row, _)| row.record.as_ref();
    maybe_text requestId "The ID of the request, as in its response and in the log; null if the change wasn't made by \
        a request, or if you may not view the client any more."
        => |(row, _)| row.record.as_ref().map(|record| &*record.request_id).filter(|id| !id.is_empty());
    maybe<AuditRecord> record "The audit record of the change, with the values before and after. Null if you may not \
        view the client any more. Requires AUDIT: without it, null and an error."
        needs Audit => |(row, _)| row.record.as_ref();
    maybe<Client> client "The client as it is now, which can be later than this change. Null if it was removed, or if \
        you may not view it, and for LEFT."
        => |(row, loaded)| (row.kind != ChangeKind::Left).then(|| loaded.client(&row.client_key)).flatten();
}

object! {
    type ChangedMember = &'a Vec<String>, "A member of a client that changed.";

    texts path "The path to the member: field names of this API, with the keys or IDs of list entries in between."
        => |row| row.clone();
}
