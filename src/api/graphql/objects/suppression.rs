//! Entries of the suppression list.

use super::connection::listed;
use crate::api::graphql::global_id;
use clientele_domain::{
    access::Listing,
    caller::CallerKind,
    enums::{Channel, SuppressionReason},
    notify::suppression::cursor,
};
use entity::suppression;

object! {
    node Suppression = &'a suppression::Model, "A recipient that gets no messages.";

    id id "The global ID." => |row| global_id::encode(Self::NAME, &[&row.encoded_key]);
    text encodedKey "The key of the entry, which audit records have instead of the recipient."
        => |row| &row.encoded_key;
    enum<Channel> channel "The channel." => |row| &row.channel;
    text recipient "The e-mail address in lower case, or the phone number with + and its country code."
        => |row| &row.recipient;
    enum<SuppressionReason> reason "The reason." => |row| &row.reason;
    instant since "The time at which the recipient was added." => |row| row.created_at;
    enum<CallerKind> byKind "The kind of the caller who added the recipient or reported the bounce."
        => |row| &row.caller_kind;
    text byId "The permanent ID of that caller among callers of its kind." => |row| &row.caller_id;
    text byName "The name of that caller at that time." => |row| &row.caller_name;
}

listed! {
    Suppression, "A page of the suppression list, newest first.",
        Listing<suppression::Model> => page: suppression::Model;
    cursor |_, row| cursor(row);
    row |row, _| row
}
