//! The data of a request, as resolvers read it from their context.

use std::sync::Arc;

use async_graphql::{Context, Result};
use graphql_server::object::{Object, RawObject, Selection};

use super::load::Loaders;
use clientele_domain::{
    caller::{Caller, Permission},
    definitions::{Definitions, DefinitionsCache},
};

/// The object of a field of the root. Such a field is nullable, so that an unexpected error of one leaves the values of
/// the others: a caller must be able to see which of its mutations were carried out.
pub type Answer<T> = Option<RawObject<T>>;

/// The selection of the current field, for objects of type `T`, without fields that the caller may not read. A request
/// to sign in has no caller.
pub fn selection<T: Object>(context: &Context<'_>) -> Result<Arc<Selection>> {
    let selection = Selection::of_root::<T>(context);
    let caller = context.data_opt::<Caller>();
    if caller.is_some_and(Caller::can_everything) {
        return Ok(selection);
    }
    let can = |permission| caller.is_some_and(|caller| caller.can(permission));
    Ok(selection.authorized(|name| Permission::parse(name).is_some_and(can)))
}

pub fn caller<'a>(context: &Context<'a>) -> Result<&'a Caller> {
    context.data::<Caller>()
}

pub fn loaders<'a>(context: &Context<'a>) -> Result<&'a Loaders> {
    context.data::<Loaders>()
}

pub async fn definitions(context: &Context<'_>) -> Result<Arc<Definitions>> {
    Ok(context.data::<DefinitionsCache>()?.current().await?)
}
