//! The routes that change or delete single custom values of a client. The others stay as they are.

use axum::{
    Extension,
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};

use super::{
    Api, ClientId, MaybeRequestId, client_id,
    errors::{RestError, codes},
    parameters::Parameters,
    read, respond,
    submit::Received,
    unknown_client,
};
use clientele_domain::{
    caller::{Caller, Permission},
    definitions::NO_GROUP,
    upsert::CustomFieldValueInput,
};

pub const LIST: &str = "/api/clients/{id}/custominformation";
pub const ONE: &str = "/api/clients/{id}/custominformation/{field}";
pub const GROUPED: &str = "/api/clients/{id}/custominformation/{field}/{group}";

type FieldPath = Result<Path<(String, String)>, PathRejection>;
type GroupPath = Result<Path<(String, String, String)>, PathRejection>;

/// The value that a path names.
struct Named {
    client: String,
    field: String,
    group: Option<i32>,
}

impl Named {
    /// A path that isn't UTF-8 names no client.
    fn single(path: FieldPath) -> Result<Self, RestError> {
        let Path((client, field)) = path.map_err(|_| unknown_client())?;
        Ok(Self {
            client,
            field,
            group: None,
        })
    }

    fn grouped(path: GroupPath) -> Result<Self, RestError> {
        let Path((client, field, group)) = path.map_err(|_| unknown_client())?;
        let group: i32 = group.parse().map_err(|_| {
            let source = "The group index in the path must be an integer.";
            RestError::new(codes::INVALID_PARAMETERS, source)
        })?;
        Ok(Self {
            client,
            field,
            group: Some(group).filter(|group| *group != NO_GROUP),
        })
    }
}

pub async fn change_list(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    id: ClientId,
    request: Request,
) -> Response {
    let changed = async {
        caller.require(Permission::EditClient)?;
        let read = |received: &Received| read::custom_field_values(api.json_without_parameters(received)?);
        api.change_members(&caller, request, client_id(id)?, read).await
    };
    respond(changed.await, request_id)
}

pub async fn change(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    path: FieldPath,
    request: Request,
) -> Response {
    respond(
        api.change_value(&caller, request, Named::single(path)).await,
        request_id,
    )
}

pub async fn change_grouped(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    path: GroupPath,
    request: Request,
) -> Response {
    respond(
        api.change_value(&caller, request, Named::grouped(path)).await,
        request_id,
    )
}

pub async fn remove(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    path: FieldPath,
    request: Request,
) -> Response {
    respond(
        api.remove_value(&caller, request, Named::single(path)).await,
        request_id,
    )
}

pub async fn remove_grouped(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    path: GroupPath,
    request: Request,
) -> Response {
    respond(
        api.remove_value(&caller, request, Named::grouped(path)).await,
        request_id,
    )
}

impl Api {
    async fn change_value(
        &self,
        caller: &Caller,
        request: Request,
        named: Result<Named, RestError>,
    ) -> Result<Body, RestError> {
        caller.require(Permission::EditClient)?;
        let Named { client, field, group } = named?;
        let read =
            |received: &Received| read::custom_field_value(self.json_without_parameters(received)?, field, group);
        let changed = self.change_members(caller, request, client, read).await;
        changed.map_err(|error| as_path(error, group))
    }

    /// A body is ignored.
    async fn remove_value(
        &self,
        caller: &Caller,
        request: Request,
        named: Result<Named, RestError>,
    ) -> Result<Body, RestError> {
        caller.require(Permission::EditClient)?;
        let Named { client, field, group } = named?;
        let read = |received: &Received| {
            Parameters::parse(received.query())?.refuse_with("a custom field's id")?;
            Ok(read::partial(CustomFieldValueInput {
                field_id: field,
                group_index: group,
                is_removed: true,
                ..CustomFieldValueInput::default()
            }))
        };
        let removed = self.change_members(caller, request, client, read).await;
        removed.map_err(|error| as_path(error, group))
    }
}

/// The path names the value and its group, so that the error's path begins below it, and its remedy is the path's.
fn as_path(mut error: RestError, group: Option<i32>) -> RestError {
    let Some(source) = &mut error.source else {
        return error;
    };
    if let Some(rest) = source.strip_prefix("customInformation[0].") {
        *source = rest.to_owned();
    }
    if error.code == codes::INCONSISTENT_VALUE_WITH_SET_TYPE {
        *source = match group {
            Some(_) => {
                "The set of this field isn't grouped: leave the group's index out of the path, which is then \
                …/custominformation/{customFieldID}."
            }
            None => {
                "The set of this field is grouped: add the group's index to the path, such as \
                …/custominformation/{customFieldID}/0."
            }
        }
        .to_owned();
    } else if error.code == codes::INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE
        && let Some(rest) = source.strip_suffix('.')
        && rest.contains(" has no value: send ")
    {
        *source = format!("{rest}, or remove the value with DELETE.");
    }
    error
}
