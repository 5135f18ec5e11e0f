//! The definitions that clients follow: custom fields, their options and sets; client roles; templates of
//! identification documents.

use entity::{client_role, custom_field_option, custom_field_role, custom_field_set, id_document_template};

use crate::api::graphql::global_id;
use clientele_domain::definitions::{self, Definitions, FieldState, Kind, SetUsage};

/// A custom field, and all definitions.
pub type FieldRow<'a> = (&'a definitions::Field, &'a Definitions);
/// A client role of a custom field, and all definitions.
pub type FieldRoleRow<'a> = (&'a custom_field_role::Model, &'a Definitions);
/// A client role, and all definitions.
pub type RoleRow<'a> = (&'a client_role::Model, &'a Definitions);
/// A set of custom fields, and all definitions.
pub type SetRow<'a> = (&'a custom_field_set::Model, &'a Definitions);

object! {
    node CustomField = FieldRow<'a>, "The definition of a custom field.";

    id id "The global ID." => |(field, _)| global_id::encode(Self::NAME, &[&field.row.encoded_key]);
    text encodedKey "The key of the field." => |(field, _)| &field.row.encoded_key;
    text fieldId "The ID of the field, which inputs use to name it." => |(field, _)| &field.row.field_id;
    text name "The display name." => |(field, _)| &field.row.name;
    maybe_text description "The purpose of the field." => |(field, _)| field.row.description.as_deref();
    enum<Kind> type "The type of the values." => |(field, _)| field.kind.as_str();
    enum<FieldState> state "ACTIVE if the field takes new values." => |(field, _)| &field.row.state;
    boolean required "True if every client must have a value." => |(field, _)| field.row.required;
    boolean unique "True if no two clients can have the same value." => |(field, _)| field.row.is_unique;
    maybe_text pattern "The required form of a text, in which `#` is a digit, `@` a letter, `$` a digit or letter, and \
        any other character itself; null if any text is allowed." => |(field, _)| field.row.pattern.as_deref();
    maybe_int maxLength "The maximum length of a text, in characters; null for other types."
        => |(field, _)| field.longest().map(|length| length as i64);
    maybe_text parentFieldId "The ID of the SELECTION field of the set whose value decides which options are \
        available; null if there is none." => |(field, definitions)| {
            let parent = definitions.field_of_key(field.row.parent_key.as_deref()?);
            parent.map(|parent| parent.row.field_id.as_str())
        };
    list<CustomFieldRole> clientRoles "The client roles that the field is available to; empty if it is available to \
        all." => |(field, definitions)| field.roles.iter().map(|role| (role, definitions));
    list<CustomFieldOption> options "The options of a SELECTION field, in order; empty for other types."
        => |(field, _)| &field.options;
    one<CustomFieldSet> set "The set that the field belongs to." => |(field, definitions)| (&field.set, definitions);
}

object! {
    type CustomFieldRole = FieldRoleRow<'a>, "A client role that a custom field is available to.";

    known<ClientRole> clientRole "The role." => |(row, definitions)| {
            let role = definitions.role_of_key(&row.role_key);
            role.map(|role| (role, definitions))
        };
    boolean required "True if every client of this role must have a value, even if the field isn't required in general."
        => |(row, _)| row.is_required;
}

object! {
    type CustomFieldOption = &'a custom_field_option::Model, "A value that a SELECTION field offers.";

    text encodedKey "The key of the option." => |row| &row.encoded_key;
    text value "The value." => |row| &row.value;
    enum<FieldState> state "ACTIVE if the option can be chosen." => |row| &row.state;
    texts forValues "For a field with a parent field: the values of the parent that the option is available for; empty \
        if it is available for all." => |row| definitions::for_values(row);
    maybe_decimal score "A number that the bank gives to the option." => |row| row.score.as_deref();
}

object! {
    node CustomFieldSet = SetRow<'a>, "A set of custom fields.";

    id id "The global ID." => |(set, _)| global_id::encode(Self::NAME, &[&set.encoded_key]);
    text encodedKey "The key of the set." => |(set, _)| &set.encoded_key;
    text setId "The ID of the set, which inputs use to name it." => |(set, _)| &set.set_id;
    text name "The display name." => |(set, _)| &set.name;
    enum<SetUsage> usage "The number of values that a client can have for each field." => |(set, _)| &set.usage;
    int position "The position among all sets, from 0." => |(set, _)| set.position.into();
    list<CustomField> fields "The fields of the set in order, including deactivated ones." => |(set, definitions)|
        definitions.fields_of(&set.encoded_key).into_iter().map(|field| (field, definitions));
}

object! {
    node ClientRole = RoleRow<'a>, "A role that a client can have in the bank.";

    id id "The global ID." => |(row, _)| global_id::encode(Self::NAME, &[&row.encoded_key]);
    text encodedKey "The key of the role." => |(row, _)| &row.encoded_key;
    text roleId "The ID of the role, which inputs use to name it." => |(row, _)| &row.role_id;
    text name "The display name." => |(row, _)| &row.name;
    maybe_text description "The purpose of the role." => |(row, _)| row.description.as_deref();
    boolean isDefault "True if clients have this role when no other role is set." => |(row, _)| row.is_default;
    maybe_text idPattern "The form of the IDs that are generated for its clients; null for the configured form."
        => |(row, _)| row.id_pattern.as_deref();
    boolean allowsAddresses "True if its clients can have an address." => |(row, _)| row.allows_addresses;
    boolean requiresIdDocument "True if its clients must have an identification document."
        => |(row, _)| row.requires_id_document;
    list<CustomField> customFields "The custom fields that are available to its clients, in order, including \
        deactivated ones." => |(row, definitions)| {
            let fields = definitions.fields.iter().filter(|field| field.is_available(&row.encoded_key));
            fields.map(|field| (&**field, definitions))
        };
}

object! {
    node IdDocumentTemplate = &'a id_document_template::Model, "A template of identification documents.";

    id id "The global ID." => |row| global_id::encode(Self::NAME, &[&row.encoded_key]);
    text encodedKey "The key of the template, which documents use to name it." => |row| &row.encoded_key;
    text templateId "The ID of the template, which the input of a template uses to name it." => |row| &row.template_id;
    text documentType "The kind of document that documents of the template have." => |row| &row.document_type;
    maybe_text issuingAuthority "The authority that documents of the template have; null for any."
        => |row| row.issuing_authority.as_deref();
    maybe_text pattern "The form of the number, in which `#` is a digit, `@` a letter, `$` either, and any other \
        character itself; null for any number." => |row| row.pattern.as_deref();
    boolean mandatory "True if every client must have a document of the template." => |row| row.is_mandatory;
    boolean active "False if documents can't name the template any more." => |row| row.active;
}
