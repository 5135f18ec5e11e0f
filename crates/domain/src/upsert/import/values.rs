//! The custom field values of an exported client. They can break rules that definitions have got since, but have the
//! form and the length that every value of their type has.

use std::collections::HashSet;

use entity::custom_field_value;

use super::ImportedClient;
use crate::{
    definitions::{Definitions, Field, NO_GROUP},
    member::Problems,
    upsert::{
        CustomFieldValueInput,
        check::{Groups, InvalidValue, gaps, of_type, of_usage},
    },
};
use clientele_core::{
    path,
    problem::{Message, Problem, ProblemCode},
    scalar::new_key,
};

const LIST: &str = "customInformation";

/// The values as the file has them.
pub(super) fn stored_values(
    client: &ImportedClient,
    definitions: &Definitions,
) -> Result<Vec<custom_field_value::Model>, Vec<Problem>> {
    let list = client.input.custom_information.value().into_iter().flatten();
    let (mut values, mut problems) = (Vec::new(), Problems::default());
    let (mut seen, mut groups) = (HashSet::new(), Groups::new());
    for (index, sent) in list.enumerate() {
        let Some(field) = definitions.field(&sent.field_id) else {
            let message = Message::from("There is no custom field with this id").listed_by("customFieldSets");
            problems.add(ProblemCode::NotFound, path![LIST, index, "fieldId"], message);
            continue;
        };
        let group_index = sent.group_index.unwrap_or(NO_GROUP);
        if !seen.insert((&*field.row.encoded_key, group_index)) {
            let message = format!("The field {} is named twice.", sent.field_id);
            problems.add(ProblemCode::Duplicate, path![LIST, index, "fieldId"], message);
            continue;
        }
        match value(field, group_index, sent) {
            Ok((value, linked_key)) => values.push(custom_field_value::Model {
                client_key: String::new(), // set with the client's own key
                field_key: field.row.encoded_key.clone(),
                group_index,
                encoded_key: new_key(),
                position: index as i32,
                value,
                linked_key,
            }),
            Err((code, member, message)) => problems.add(code, path![LIST, index, member], message),
        }
        if field.is_grouped() && group_index != NO_GROUP {
            let of_set = groups.entry(&field.set.set_id).or_default();
            of_set.entry(group_index).or_insert(index);
        }
    }
    gaps(&groups, &mut problems);
    match problems.0.is_empty() {
        true => Ok(values),
        false => Err(problems.0),
    }
}

/// The value and the linked key to store.
fn value(
    field: &Field,
    group_index: i32,
    sent: &CustomFieldValueInput,
) -> Result<(Option<String>, Option<String>), InvalidValue> {
    of_usage(field, group_index)?;
    let (member, text) = of_type(field, &sent.value, &sent.linked_key)?;
    let Some(text) = text.value().filter(|text| !text.is_empty()) else {
        let message = Message::from(format!("The field {} has no value: send ", field.row.field_id));
        return Err((ProblemCode::Blank, member, message.member(member).text(".")));
    };
    let text = field.formed(text);
    let text = text.map_err(|(code, message)| (code, member, message.into()))?;
    Ok(match field.kind.is_link() {
        true => (None, Some(text)),
        false => (Some(text), None),
    })
}
