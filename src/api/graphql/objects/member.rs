//! The members of a client: addresses and identification documents.

use std::borrow::Cow;

use entity::{address, id_document};

use crate::api::graphql::global_id::GlobalId;
use graphql_server::object::{Field, Object};

pub struct Address;

impl Object for Address {
    const NAME: &'static str = "Address";
    const DESCRIPTION: &'static str = "An address of a client.";
    const IS_NODE: bool = true;
    type Row<'a> = &'a address::Model;
    const FIELDS: &'static [Field<Self>] = &[
        Field::id("id", "The global id.", |row| {
            GlobalId::Address {
                client_key: row.client_key.clone(),
                key: row.encoded_key.clone(),
            }
            .encode()
        }),
        Field::text(
            "encodedKey",
            "The key that the address is matched by when it is submitted again.",
            |row| Cow::Borrowed(&row.encoded_key),
        ),
        Field::maybe_text("line1", "The first line.", |row| row.line1.as_deref()),
        Field::maybe_text("line2", "The second line.", |row| row.line2.as_deref()),
        Field::maybe_text("city", "The city.", |row| row.city.as_deref()),
        Field::maybe_text("region", "The region.", |row| row.region.as_deref()),
        Field::maybe_text("postcode", "The postcode.", |row| row.postcode.as_deref()),
        Field::maybe_text("country", "The country.", |row| row.country.as_deref()),
        Field::maybe_float("latitude", "Degrees, from -90 (south) to 90 (north).", |row| {
            row.latitude
        }),
        Field::maybe_float("longitude", "Degrees, from -180 (west) to 180 (east).", |row| {
            row.longitude
        }),
    ];
}

pub struct IdDocument;

impl Object for IdDocument {
    const NAME: &'static str = "IdDocument";
    const DESCRIPTION: &'static str = "An identification document of a client.";
    const IS_NODE: bool = true;
    type Row<'a> = &'a id_document::Model;
    const FIELDS: &'static [Field<Self>] = &[
        Field::id("id", "The global id.", |row| {
            GlobalId::IdDocument {
                client_key: row.client_key.clone(),
                key: row.encoded_key.clone(),
            }
            .encode()
        }),
        Field::text(
            "encodedKey",
            "The key that the document is matched by when it is submitted again.",
            |row| Cow::Borrowed(&row.encoded_key),
        ),
        Field::text("documentType", "What kind of document it is.", |row| {
            Cow::Borrowed(&row.document_type)
        }),
        Field::text("documentId", "The document's number.", |row| {
            Cow::Borrowed(&row.document_id)
        }),
        Field::maybe_text("issuingAuthority", "Who issued it.", |row| {
            row.issuing_authority.as_deref()
        }),
        Field::maybe_date("validUntil", "The last day on which it is valid.", |row| {
            row.valid_until
        }),
    ];
}
