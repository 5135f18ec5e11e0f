//! Previews the message that a client would get now, without sending it.

use chrono::{DateTime, Utc};

use super::{Source, Templates};
use crate::{
    caller::{Caller, Permission},
    client::ClientParts,
    client_by::ClientBy,
    enums::Language,
    notify::{content::Content, render::Compiled},
};
use clientele_core::error::Result;

/// A template rendered for a client.
#[derive(Clone, Debug)]
pub struct Preview {
    /// True if the client meets the template's conditions. One on a value that the caller may not see isn't met.
    pub matches: bool,
    pub language: Language,
    /// None if the template's channel doesn't reach the client.
    pub recipient: Option<String>,
    pub content: Content,
    /// True if the channel has subjects.
    pub has_subject: bool,
}

impl Templates {
    /// Renders a template for a client, in the client's language unless another is given; none if one of the two
    /// doesn't exist.
    pub async fn preview(
        &self,
        caller: &Caller,
        template_id: &str,
        client: &ClientBy,
        language: Option<Language>,
        now: DateTime<Utc>,
    ) -> Result<Option<Preview>> {
        caller.require(Permission::ViewMessages)?;
        // The template is known only with the definitions that come with the client.
        let parts = ClientParts {
            addresses: false,
            ..ClientParts::ALL
        };
        // The client comes without the values that the caller may not see, so that no condition reveals them.
        let Some((aggregate, definitions)) = self.clients.get(caller, client, parts).await? else {
            return Ok(None);
        };
        let Some(template) = definitions.template(template_id) else {
            return Ok(None);
        };
        let language = match language {
            Some(language) => language.as_str(),
            None => aggregate.client.preferred_language.as_str(),
        };
        let variant = template.variant_for(language);
        let mut values = Source::new(&aggregate, &definitions, now).values(variant);
        let compiled = Compiled::of(&variant.row)?;
        compiled.hide(&mut values, &caller.rights);
        Ok(Some(Preview {
            matches: template.matches(&aggregate),
            language: variant.language,
            recipient: template.recipient(&aggregate.client).map(str::to_owned),
            content: compiled.render(&values),
            has_subject: variant.row.subject.is_some(),
        }))
    }
}
