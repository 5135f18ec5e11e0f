//! A client.

use async_graphql::Value;

use super::{
    audit::AuditRecord,
    connection::{Connection, PAGE_ARGUMENTS, PageRow, argument, listed},
    custom_field::{CustomFieldValue, CustomFieldValueVersion, PastValueRow, ValueRow},
    definition::ClientRole,
    member::{Address, AddressVersion, IdDocument, IdDocumentVersion},
    message::Message,
};
use crate::api::graphql::{
    global_id,
    load_plan::{history_window, window},
    loaded::LoadedData,
};
use clientele_domain::{
    client::{Aggregate, ClientPage},
    definitions::Field,
    enums::{ClientState, Gender, Language},
    version,
};
use graphql_server::object::{Argument, SelectedField};

/// A client, and the data around it.
pub type ClientRow<'a> = (&'a Aggregate, &'a LoadedData);

/// A client as of a version, with everything that is known about the version.
pub type VersionRow<'a> = (&'a Aggregate, &'a version::ClientVersion);

// The past client is a type of its own, without a global ID: caches identify objects by it, and would take the past
// values for the present ones.
objects_sharing! {
    {
        node Client = ClientRow<'a>, "A client of the bank, with its addresses, documents and custom field values.";

        id id "The global ID." => |(row, _)| global_id::encode(Self::NAME, &[&row.client.encoded_key]);
    }
    {
        instant updatedAt "The time of the last change to the client or anything that belongs to it."
            => |(row, _)| row.client.updated_at;
        maybe<Client> mergedInto "The client that this one was merged into. Requires VIEW_CLIENT." needs ViewClient
            => |(row, loaded)| row.client.merged_into_key.as_deref().and_then(|key| loaded.client(key));
        int version "The version, which grows by one with every change. Send it back as `expectedVersion` to prevent \
            lost updates." => |(row, _)| row.client.version.into();
        list<Address> addresses "The address of the client: a list with at most one entry."
            => |(row, _)| row.addresses.iter().flatten();
        list<IdDocument> idDocuments "The identification documents of the client, in order."
            => |(row, loaded)| row.id_documents.iter().flatten().map(|document| (document, &*loaded.definitions));
        known<ClientRole> clientRole "The role of the client in the bank."
            => |(row, loaded)| {
                let definitions = &*loaded.definitions;
                definitions.role_of_key(&row.client.client_role_key).map(|role| (role, definitions))
            };
        list<CustomFieldValue> customInformation "The custom field values of the client, in order. Values of sets that \
            you may not view are left out." [VALUE_ARGUMENTS] => |(row, loaded), field| {
                let values = row.custom_values.iter().flatten().filter_map(|value| ValueRow::of(value, loaded));
                values.filter(|value| is_requested(&value.field.row.field_id, Some(value.field), field))
            };
        maybe<Connection<Message>> messages "The messages to the client, newest first. Requires VIEW_MESSAGES: without \
            it, null and an error." [PAGE_ARGUMENTS] needs ViewMessages => |(row, loaded), field| {
                let list = window(field).ok().and_then(|window| loaded.page(&window, &row.client.encoded_key));
                list.map(|list| PageRow { list, loaded })
            };
        maybe<Connection<AuditRecord>> history "The audit records of the client, newest first. Requires AUDIT: without \
            it, null and an error." [PAGE_ARGUMENTS] needs Audit => |(row, loaded), field| {
                let window = history_window(field).ok();
                let list = window.and_then(|window| loaded.history(&window, &row.client.encoded_key));
                list.map(|list| PageRow { list, loaded })
            };
    }
    {
        type ClientVersion = VersionRow<'a>, "A client as of a version, from its audit records. It has what is stored \
            with a client, under the same names. Definitions, such as the client role, are the present ones.";

        maybe<AuditRecord> record "The audit record of the change that made the version: its time, its caller and what \
            it changed; null if the version is from before the audit log." => |(_, version)| version.record.as_ref();
    }
    {
        int version "The version." => |(row, _)| row.client.version.into();
        list<AddressVersion> addresses "The address of the client: a list with at most one entry."
            => |(row, _)| row.addresses.iter().flatten();
        list<IdDocumentVersion> idDocuments "The identification documents of the client, in order."
            => |(row, version)| row.id_documents.iter().flatten().map(|document| (document, &*version.definitions));
        maybe<ClientRole> clientRole "The role of the client in the bank; null if there is no such role now."
            => |(row, version)| {
                let definitions = &*version.definitions;
                definitions.role_of_key(&row.client.client_role_key).map(|role| (role, definitions))
            };
        text clientRoleKey "The key of the role, as recorded. The records of an imported client can have the key of \
            another database." => |(row, _)| &row.client.client_role_key;
        list<CustomFieldValueVersion> customInformation "The custom field values of the client, in order. Values of \
            sets that you may not view are left out: see `hidesValues`." [VALUE_ARGUMENTS] => |(_, version), field| {
                let values = version.values.iter().map(|value| PastValueRow::of(value, &version.definitions));
                values.filter(|row| is_requested(&row.value.field_id, row.field, field))
            };
        boolean hidesValues "True if `customInformation` lacks values, because you may not view their sets."
            => |(_, version)| version.hides_values;
    }

    text encodedKey "The permanent key: 1 to 32 letters and digits." => |(row, _)| &row.client.encoded_key;
    text clientId "The ID that people use. The legacy API calls it `id`." => |(row, _)| &row.client.client_id;
    enum<ClientState> state "The state of the client at the bank." => |(row, _)| &row.client.state;
    text firstName "The first name or names." => |(row, _)| &row.client.first_name;
    maybe_text middleName "The middle name." => |(row, _)| row.client.middle_name.as_deref();
    text lastName "The last name." => |(row, _)| &row.client.last_name;
    text fullName "The first, middle and last name, separated by spaces." => |(row, _)| row.full_name();
    maybe_date birthDate "The date of birth." => |(row, _)| row.client.birth_date;
    maybe_enum<Gender> gender "The gender." => |(row, _)| row.client.gender.as_deref();
    maybe_text emailAddress "The e-mail address." => |(row, _)| row.client.email_address.as_deref();
    maybe_text homePhone "The home phone number." => |(row, _)| row.client.home_phone.as_deref();
    maybe_text mobilePhone1 "The first mobile phone number, which receives text messages."
        => |(row, _)| row.client.mobile_phone1.as_deref();
    maybe_text mobilePhone2 "The second mobile phone number. It receives text messages if there is no first one."
        => |(row, _)| row.client.mobile_phone2.as_deref();
    enum<Language> preferredLanguage "The language of messages to the client."
        => |(row, _)| &row.client.preferred_language;
    maybe_text notes "Notes of the bank about the client." => |(row, _)| row.client.notes.as_deref();
    maybe_text assignedBranchKey "The key of the branch in charge of the client."
        => |(row, _)| row.client.assigned_branch_key.as_deref();
    maybe_text assignedCentreKey "The key of the centre in charge of the client."
        => |(row, _)| row.client.assigned_centre_key.as_deref();
    maybe_text assignedUserKey "The key of the user in charge of the client."
        => |(row, _)| row.client.assigned_user_key.as_deref();
    instant createdAt "The time at which the client was created." => |(row, _)| row.client.created_at;
    maybe_instant approvedAt "The time of the approval; null before it, and after it was undone."
        => |(row, _)| row.client.approved_at;
    maybe_instant activatedAt "The time at which the client first became active; null before it."
        => |(row, _)| row.client.activated_at;
    maybe_instant closedAt "The time at which the client exited or was blacklisted; null unless it is EXITED or \
        BLACKLISTED."
        => |(row, _)| row.client.closed_at;
    maybe_text mergedIntoKey "The key of the client that this one was merged into; null if it wasn't, and after its \
        exit was undone." => |(row, _)| row.client.merged_into_key.as_deref();
}

const VALUE_ARGUMENTS: &[Argument] = &[
    argument("fields", "Only values of the fields with these IDs.", "[String!]"),
    argument("set", "Only values of the fields in the set with this ID.", "String"),
];

/// True if a value of the field with this ID matches the arguments. A field that has been deleted is in no set.
fn is_requested(field_id: &str, of: Option<&Field>, selected: &SelectedField) -> bool {
    let fields = match selected.argument("fields") {
        Some(Value::List(ids)) => ids.iter().any(|id| is_text(id, field_id)),
        Some(id) => is_text(id, field_id),
        None => true,
    };
    let set = selected.argument("set");
    fields && set.is_none_or(|id| of.is_some_and(|field| is_text(id, &field.set.set_id)))
}

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::String(found) if found == text)
}

listed! {
    Client, "A page of clients.", ClientPage => clients: Aggregate;
    cursor |page, client| page.cursor(client);
    row |client, loaded| (client, loaded)
}
