//! The meaning of each return code, with the body of one answer. A test produces each of them.

use super::json::{Json, object};
use crate::api::rest::errors::codes::{self, Code};

/// A return code with its meaning and an `errorSource`, which is empty if the answer has none.
pub struct Meaning(pub Code, pub &'static str, pub &'static str);

impl Meaning {
    /// The name of the example in the components of the document.
    pub fn name(code: Code) -> String {
        format!("{}-{}", code.status.as_u16(), code.number)
    }

    pub fn of(code: Code) -> Option<&'static Self> {
        MEANINGS.iter().find(|meaning| meaning.0 == code)
    }

    /// The body of the answer.
    pub fn body(&self) -> Json {
        let Self(code, _, source) = self;
        let body = object([("returnCode", code.number.into()), ("returnStatus", code.name.into())]);
        body.with_text("errorSource", source)
    }
}

pub const MEANINGS: &[Meaning] = &[
    Meaning(
        codes::INVALID_BASIC_AUTHORIZATION,
        "no credentials",
        "Sign in: send the header Authorization with Basic and your name and password, or with Bearer and a token.",
    ),
    Meaning(
        codes::INVALID_CREDENTIALS,
        "wrong credentials",
        "These credentials are wrong, or not valid any more.",
    ),
    Meaning(
        codes::INVALID_API_OPERATION,
        "a route that this server doesn't have",
        "There is no route GET /api/loans: this server stores clients only.",
    ),
    Meaning(
        codes::INVALID_PARAMETERS,
        "a parameter or member is invalid",
        "client.firstName: firstName is required and must not be blank.",
    ),
    Meaning(
        codes::BODY_TOO_LARGE,
        "the body is too large",
        "The body must have at most 1048576 bytes.",
    ),
    Meaning(
        codes::TOO_SLOW,
        "the body came too slowly",
        "The body took too long to arrive.",
    ),
    Meaning(
        codes::RATE_LIMITED,
        "the caller sends too much; Retry-After says when to send again",
        "This caller sends requests too fast. Retry-After says when to send the next one.",
    ),
    Meaning(
        codes::CONCURRENT_UPDATE,
        "a concurrent change; send the request again",
        "concurrent update, retry",
    ),
    Meaning(
        codes::IDEMPOTENCY_KEY_USED,
        "the idempotency key was used for another request, or the answer was erased",
        "This idempotency key has been used for another request: give each request a key of its own.",
    ),
    Meaning(
        codes::METHOD_NOT_IMPLEMENTED,
        "the route has no such method",
        "This route takes GET, POST, PATCH, DELETE.",
    ),
    Meaning(
        codes::INTERNAL_ERROR,
        "an error of the server; errorSource is the id of the request",
        "0190a5c5-9ec6-7c4e-a3a4-0dc4d5a7a1f0",
    ),
    Meaning(
        codes::UNAVAILABLE,
        "overload, or no database; send the request again",
        "The server has more to do than it can. Try again shortly.",
    ),
    Meaning(
        codes::TIMED_OUT,
        "the request took too long",
        "This took longer than the server allows and was ended. Nothing of it has been stored.",
    ),
    Meaning(
        codes::INVALID_PAGINATION_OFFSET_VALUE,
        "offset isn't an integer",
        "offset must be an integer of 0 or more.",
    ),
    Meaning(
        codes::OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE,
        "offset is below 0",
        "offset must be an integer of 0 or more.",
    ),
    Meaning(
        codes::INVALID_PAGINATION_LIMIT_VALUE,
        "limit isn't an integer",
        "limit must be an integer from 1 to 1000.",
    ),
    Meaning(
        codes::OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE,
        "limit is out of bounds, or the list would take too much memory",
        "limit must be an integer from 1 to 1000.",
    ),
    Meaning(
        codes::INVALID_PERMISSIONS,
        "a permission is missing, or a right to a custom field set, a branch or a centre; or a page of another site \
         sent the request",
        "This needs the permission CREATE_CLIENT.",
    ),
    Meaning(codes::UNSUPPORTED_CHARACTER_ENCODING, "not UTF-8", "Send UTF-8."),
    Meaning(
        codes::INCONSISTENT_IDENTIFIER_WITH_JSON,
        "the path and the body name different clients",
        "client.encodedKey: The path and the encodedKey name two different clients: correct encodedKey, or leave \
         it out.",
    ),
    Meaning(
        codes::INVALID_JSON_SYNTAX,
        "not JSON, or a member twice",
        "The body isn't JSON: see line 1, column 1.",
    ),
    Meaning(
        codes::PARAMETER_NOT_ALLOWED,
        "an unknown parameter",
        "name isn't a filter of this list.",
    ),
    Meaning(
        codes::MISSING_ENTITY_JSON,
        "the body is missing or isn't JSON",
        "Send the body as application/json.",
    ),
    Meaning(
        codes::UNSUPPORTED_CONTENT_ENCODING,
        "a Content-Encoding other than identity",
        "Send the body without compression: drop the Content-Encoding header.",
    ),
    Meaning(codes::READ_ONLY_MODE, "the database is read-only", ""),
    Meaning(
        codes::INVALID_CLIENT_ID,
        "there is no client with the id or key in the path",
        "There is no client with this id or key.",
    ),
    Meaning(
        codes::INVALID_CLIENT_KEY,
        "there is no client with the key in the body",
        "client.encodedKey: There is no client with this key: leave encodedKey out to create one.",
    ),
    Meaning(
        codes::INVALID_CLIENT_STATE,
        "a state that doesn't exist or can't be set here",
        "client.state: state can't be set here: leave it out, or send INACTIVE.",
    ),
    Meaning(
        codes::INVALID_CLIENT_ROLE_KEY,
        "there is no such client role",
        "client.clientRole.encodedKey: There is no client role of this name.",
    ),
    Meaning(
        codes::INVALID_BIRTH_DATE,
        "a date of birth that doesn't exist or is in the future",
        "client.birthDate: birthDate must not be in the future.",
    ),
    Meaning(
        codes::DUPLICATE_CLIENT,
        "a client with this document, phone number, e-mail address or name is stored, if that is checked",
        "client.emailAddress: Another client has this e-mail address: C-1.",
    ),
    Meaning(
        codes::INVALID_CLIENT_STATE_TRANSITION,
        "the client can't change from its state to this one",
        "client.state: A client that is INACTIVE can't become REJECTED, only PENDING_APPROVAL or ACTIVE or EXITED or \
         BLACKLISTED.",
    ),
    Meaning(
        codes::CLIENT_ID_ALREADY_IN_USE,
        "another client has the id",
        "client.id: Another client has this id: choose another, or leave it out to have one generated.",
    ),
    Meaning(
        codes::EMAIL_ADDRESS_FORMAT_IS_INVALID,
        "not an e-mail address",
        "client.emailAddress: emailAddress must be an address of the form name@example.com.",
    ),
    Meaning(
        codes::INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE,
        "the value doesn't fit the type of the field",
        "customInformation[0].value: The field note has no value: send value.",
    ),
    Meaning(
        codes::REQUIRED_CUSTOM_FIELD_MISSING,
        "a required field has no value; errorSource is its id",
        "needed",
    ),
    Meaning(
        codes::INVALID_CUSTOM_FIELD_ID,
        "there is no such custom field",
        "customInformation[0].customFieldID: There is no custom field with this id.",
    ),
    Meaning(
        codes::MAX_CUSTOM_FIELD_VALUE_LENGTH_EXCEEDED,
        "the value is too long",
        "customInformation[0].value: The field note takes at most 255 characters.",
    ),
    Meaning(
        codes::CUSTOM_FIELD_DEACTIVATED,
        "the field is deactivated",
        "customInformation[0].value: The field old is deactivated: it takes no new values.",
    ),
    Meaning(
        codes::CUSTOM_FIELD_NOT_AVAILABLE_FOR_ENTITY,
        "the field isn't available to the role",
        "customInformation[0].value: The field firm isn't available to clients of this role: leave it out.",
    ),
    Meaning(
        codes::INVALID_CUSTOM_FIELD_LINKED_ENTITY_KEY,
        "there is no such linked client",
        "customInformation[0].linkedEntityKeyValue: The field boss links to a client, and there is none with this key.",
    ),
    Meaning(
        codes::DEPENDENT_CUSTOM_FIELD_VALUE_REQUIRED,
        "the field on which this one depends has no value",
        "customInformation[0].value: The field city depends on the field land: send a value of it, too.",
    ),
    Meaning(
        codes::INCONSISTENT_VALUE_WITH_SET_TYPE,
        "a group index in a set that isn't grouped, or none in a grouped one",
        "customInformation[0].customFieldSetGroupIndex: The set of note isn't grouped: leave customFieldSetGroupIndex \
         out.",
    ),
    Meaning(
        codes::GROUPED_INDEXES_NOT_CONSECUTIVE,
        "a gap between groups",
        "customInformation[0].customFieldSetGroupIndex: The groups of the set cards must have the indexes 0, 1, 2…: \
         0 is missing.",
    ),
    Meaning(
        codes::INCONSISTENT_CUSTOM_FIELD_VALUE_WITH_PATTERN,
        "the value doesn't fit the pattern of the field",
        "customInformation[0].value: The field mask takes text of the form ##, where # is a digit, @ a letter and $ \
         either.",
    ),
    Meaning(
        codes::DUPLICATE_CUSTOM_FIELD_VALUES,
        "a field is named twice",
        "customInformation[1].customFieldID: The field note is named twice.",
    ),
    Meaning(
        codes::DUPLICATE_UNIQUE_VALUE,
        "another client has the value of a unique field",
        "customInformation[0].value: Another client has this value of the field crm, which must be unique.",
    ),
    Meaning(
        codes::LINKED_BY_CUSTOM_FIELD,
        "other clients link to the client; errorSource is the id of one of them",
        "C-3",
    ),
    Meaning(
        codes::INVALID_ID_DOCUMENT,
        "an identification document is invalid",
        "idDocuments[0].documentId: documentId is required and must not be blank.",
    ),
    Meaning(
        codes::REQUIRED_ID_DOCUMENT_MISSING,
        "a required identification document is missing",
        "idDocuments: Clients of this role need an identification document.",
    ),
    Meaning(
        codes::ADDING_OTHER_ID_DOCUMENTS_IS_DISABLED,
        "the document names no template, if that is required",
        "idDocuments[0].identificationDocumentTemplateKey: A document must name one of the templates by \
         identificationDocumentTemplateKey.",
    ),
    Meaning(
        codes::INVALID_ID_DOCUMENT_TEMPLATE_KEY,
        "there is no such template",
        "idDocuments[0].identificationDocumentTemplateKey: There is no identification document template with this key: \
         leave identificationDocumentTemplateKey out.",
    ),
    Meaning(
        codes::INVALID_ADDRESS,
        "an address is invalid",
        "addresses[0].latitude: latitude must be from -90 to 90 degrees.",
    ),
    Meaning(
        codes::CLIENT_ROLE_DOES_NOT_ALLOW_ADDRESS,
        "clients of the role have no address",
        "addresses: Clients of this role have no address: leave it out.",
    ),
    Meaning(
        codes::FIELD_IS_NOT_EDITABLE,
        "the member can't be changed",
        "client.id: id can't be changed once the client exists.",
    ),
    Meaning(
        codes::INVALID_LANGUAGE,
        "an unknown language",
        "client.preferredLanguage: preferredLanguage must be ENGLISH, PORTUGESE, SPANISH, RUSSIAN, FRENCH, GEORGIAN, \
         CHINESE, INDONESIAN, ROMANIAN, BURMESE or GERMAN.",
    ),
    Meaning(
        codes::EMPTY_CUSTOM_FIELD_ID,
        "the value names no field",
        "customInformation[0].customFieldID: Name the custom field by its id.",
    ),
    Meaning(
        codes::BLACKLISTED_CLIENT_NOT_EDITABLE,
        "the client is blacklisted",
        "client: This client is blacklisted and can't be edited: change its state first.",
    ),
    Meaning(
        codes::INVALID_STRING_VALUE,
        "a text is too long or has an invalid character",
        "client.middleName: middleName must not contain the character U+0007.",
    ),
];
