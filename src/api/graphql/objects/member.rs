//! The members of a client: addresses and identification documents.

use entity::{address, id_document};

use super::definition::IdDocumentTemplate;
use crate::api::graphql::global_id;
use clientele_domain::definitions::Definitions;

objects_sharing! {
    {
        node Address = &'a address::Model, "A postal address of a client.";

        id id "The global ID." => |row| global_id::encode(Self::NAME, &[&row.client_key, &row.encoded_key]);
    } {
        text encodedKey "The key of the address. Send it back to change this address." => |row| &row.encoded_key;
    }
    { type AddressVersion = &'a address::Model, "A postal address of a client as of a version."; } {
        text encodedKey "The key that the address had." => |row| &row.encoded_key;
    }

    maybe_text line1 "The first line." => |row| row.line1.as_deref();
    maybe_text line2 "The second line." => |row| row.line2.as_deref();
    maybe_text city "The city." => |row| row.city.as_deref();
    maybe_text region "The region." => |row| row.region.as_deref();
    maybe_text postcode "The postcode." => |row| row.postcode.as_deref();
    maybe_text country "The country." => |row| row.country.as_deref();
    maybe_float latitude "The latitude in degrees, from -90 (south) to 90 (north)." => |row| row.latitude;
    maybe_float longitude "The longitude in degrees, from -180 (west) to 180 (east)." => |row| row.longitude;
}

/// A document, and the definitions that it was read with.
pub type DocumentRow<'a> = (&'a id_document::Model, &'a Definitions);

objects_sharing! {
    {
        node IdDocument = DocumentRow<'a>, "An identification document of a client.";

        id id "The global ID." => |(row, _)| global_id::encode(Self::NAME, &[&row.client_key, &row.encoded_key]);
    } {
        text encodedKey "The key of the document. Send it back to change this document." => |(row, _)| &row.encoded_key;
    }
    { type IdDocumentVersion = DocumentRow<'a>, "An identification document of a client as of a version."; } {
        text encodedKey "The key that the document had." => |(row, _)| &row.encoded_key;
    }

    text documentType "The kind of document, for example `Passport`." => |(row, _)| &row.document_type;
    text documentId "The number of the document." => |(row, _)| &row.document_id;
    maybe_text issuingAuthority "The authority that issued the document."
        => |(row, _)| row.issuing_authority.as_deref();
    maybe_date validUntil "The last day on which the document is valid." => |(row, _)| row.valid_until;
    maybe_text templateKey "The key of the template that the document names." => |(row, _)| row.template_key.as_deref();
    maybe<IdDocumentTemplate> template "The template that the document names; null for none."
        => |(row, definitions)| {
            let key = row.template_key.as_deref();
            key.and_then(|key| definitions.document_template_of_key(key))
        };
}
