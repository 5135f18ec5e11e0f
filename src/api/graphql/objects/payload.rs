//! The payloads of mutations: the stored object, or the problems of the input.

use std::iter::once;

use super::{
    client::{Client, ClientRow},
    definition::{ClientRole, CustomFieldSet, IdDocumentTemplate, RoleRow, SetRow},
    message::Message,
    session::Session,
    suppression::Suppression,
    template::{MessageTemplate, TemplateRow},
    user::{Token, User, Viewer},
};
use crate::api::graphql::{global_id, loaded::LoadedData};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};
use clientele_domain::{access, caller::Caller, notify::Resent, removal::Removed, upsert::Merged};
use entity::{id_document_template, suppression};

/// The outcome of a mutation: the stored object, or the problems of the input.
#[derive(Clone, Copy)]
pub struct PayloadRow<'a, T> {
    pub outcome: Result<T, &'a [Problem]>,
    pub client_mutation_id: Option<&'a str>,
    /// The client as it is stored, when its version is not the expected one and the caller may view it.
    pub conflicting: Option<ClientRow<'a>>,
}

impl<'a, T: Copy> PayloadRow<'a, T> {
    fn stored(&self) -> Option<T> {
        self.outcome.ok()
    }

    fn problems(&self) -> &'a [Problem] {
        self.outcome.err().unwrap_or_default()
    }
}

object! {
    type UserError = &'a Problem, "A problem with the input of a mutation, which has stored nothing.";

    enum<ProblemCode> code "The kind of problem." => |row| row.code.as_str();
    text message "A sentence that says what is wrong." => |row| row.message.to_string();
    texts path "The path to the problem in the arguments: it starts with `input`, and list positions count from 0."
        => |row| once("input".to_owned()).chain(row.path.iter().map(ToString::to_string)).collect();
    maybe_int clientCount "The number of clients that don't allow this: whose data contradicts the change of a \
        definition; with STILL_LINKED, the linking clients that you may view, up to 1,000; with BLACKLISTED, the \
        blacklisted clients whose links a merge would change; with DUPLICATE_CLIENT, the clients that match, of which \
        at most 100 are counted. Null for other problems."
        => |row| row.clients.as_ref().map(|clients| clients.count);
    texts clientIds "The IDs of up to three of these clients. Requires VIEW_CLIENT: without it, empty."
        => |row| row.clients.iter().flat_map(|clients| clients.ids.clone()).collect();
}

object! {
    type DefinitionWarning = &'a Problem, "An effect of a stored change of a definition on clients. What they have \
        stored stays readable.";

    enum<ProblemCode> code "The code that a client would get for the value now." => |row| row.code.as_str();
    text message "A sentence that says what the change means." => |row| row.message.to_string();
    texts path "The path to the change in the arguments: it starts with `input`, and list positions count from 0. \
        Fields that aren't listed follow the listed ones."
        => |row| once("input".to_owned()).chain(row.path.iter().map(ToString::to_string)).collect();
    int clientCount "The number of clients concerned."
        => |row| row.clients.as_ref().map_or(0, |clients| clients.count);
    texts clientIds "The IDs of up to three of these clients. Requires VIEW_CLIENT: without it, empty."
        => |row| row.clients.iter().flat_map(|clients| clients.ids.clone()).collect();
}

object! {
    type ClientWarning = &'a Problem, "A warning that other clients have a value of the stored client.";

    enum<ProblemCode> code "The kind of warning: DUPLICATE_CLIENT." => |row| row.code.as_str();
    text message "A sentence that says which value other clients have." => |row| row.message.to_string();
    texts path "The path to the value in the arguments: it starts with `input`, and list positions count from 0."
        => |row| once("input".to_owned()).chain(row.path.iter().map(ToString::to_string)).collect();
    int clientCount "The number of matching clients in your branches and centres, up to 100."
        => |row| row.clients.as_ref().map_or(0, |clients| clients.count);
    texts clientIds "The IDs of up to three of these clients. Requires VIEW_CLIENT: without it, empty."
        => |row| row.clients.iter().flat_map(|clients| clients.ids.clone()).collect();
}

/// The stored version, if it differs from the expected version in this member.
fn conflicting(problems: &[Problem], member: &'static str) -> Option<i64> {
    let mut problems = problems.iter().filter(|problem| problem.path == path![member]);
    problems.find_map(Problem::stored_version)
}

/// A payload: its name, the stored object, the mutation and the fields, to which it adds those of every payload.
macro_rules! payload {
    ($name:ident = $stored:ty, $mutation:literal; $($fields:tt)*) => {
        object! {
            type $name = PayloadRow<'a, $stored>, concat!("The result of `", $mutation, "`.");

            $($fields)*
            list<UserError> userErrors "All problems with the input, in the order of its parts; empty on success."
                => |row| row.problems();
            maybe_text clientMutationId "The `clientMutationId` of the input." => |row| row.client_mutation_id;
        }
    };
}

/// The result of a single upsert.
#[derive(Clone, Copy)]
pub struct UpsertRow<'a> {
    /// None if the input was only checked.
    pub client: Option<ClientRow<'a>>,
    pub created: bool,
    pub warnings: &'a [Problem],
}

payload! {
    UpsertClientPayload = UpsertRow<'a>, "upsertClient";

    maybe<Client> client "The stored client; null if there are user errors, or with `validateOnly`."
        => |row| row.stored().and_then(|stored| stored.client);
    boolean created "True if this mutation created the client."
        => |row| row.stored().is_some_and(|stored| stored.created);
    list<ClientWarning> warnings "The duplicate checks that warn, in the order of the members; empty if there are user \
        errors, and when the answer to an earlier request is repeated."
        => |row| row.stored().map(|stored| stored.warnings).unwrap_or_default();
    maybe<Client> conflictingClient "With the user error VERSION_CONFLICT, the stored client if you have VIEW_CLIENT; \
        null otherwise. After yet another change its `version` can be greater than `conflictingVersion`."
        => |row| row.conflicting;
    maybe_int conflictingVersion "With the user error VERSION_CONFLICT, the stored version at that time, 0 if there \
        was no client; null otherwise." => |row| row.problems().iter().find_map(Problem::stored_version);
}

/// The result for one client of a list.
#[derive(Clone, Copy)]
pub struct ResultRow<'a> {
    /// The stored client, if it was selected, and true if it was created.
    pub outcome: Result<(Option<ClientRow<'a>>, bool), &'a [Problem]>,
    pub warnings: &'a [Problem],
    pub client_mutation_id: Option<&'a str>,
}

object! {
    type UpsertClientResult = ResultRow<'a>, "The result for one client of `upsertClients`.";

    maybe<Client> client "The stored client; null if there are user errors, with `validateOnly`, or if an earlier \
        request under the idempotency key has stored the client and the answer has no room for it: repeat the request \
        and select less."
        => |row| row.outcome.ok().and_then(|(client, _)| client);
    boolean created "True if this client was created." => |row| row.outcome.is_ok_and(|(_, created)| created);
    maybe_int conflictingVersion "With the user error VERSION_CONFLICT, the stored version at that time, 0 if there \
        was no client; null otherwise."
        => |row| row.outcome.err().into_iter().flatten().find_map(Problem::stored_version);
    list<ClientWarning> warnings "The duplicate checks that warn, in the order of the members; empty if there are user \
        errors, and when the answer to an earlier request is repeated." => |row| row.warnings;
    list<UserError> userErrors "All problems with this client, of which nothing is stored then; empty on success."
        => |row| row.outcome.err().unwrap_or_default();
    maybe_text clientMutationId "The `clientMutationId` of this client's input." => |row| row.client_mutation_id;
}

payload! {
    UpsertClientsPayload = &'a [ResultRow<'a>], "upsertClients";
    list<UpsertClientResult> results "One result for each client of the input, in its order; empty if there are user \
        errors, which concern the input as a whole." => |row| row.stored().unwrap_or_default().iter().copied();
}

payload! {
    ChangeClientStatePayload = Option<ClientRow<'a>>, "changeClientState";

    maybe<Client> client "The client in its new state; null if there are user errors. Requires VIEW_CLIENT: without \
        it, null and an error. The state has changed if there are no user errors." needs ViewClient
        => |row| row.stored().flatten();
    maybe_int conflictingVersion "With the user error VERSION_CONFLICT, the stored version; null otherwise."
        => |row| row.problems().iter().find_map(Problem::stored_version);
}

/// The result of a merge.
#[derive(Clone, Copy)]
pub struct MergeRow<'a> {
    /// None if the merge was only checked, or if the client could not be read.
    pub client: Option<ClientRow<'a>>,
    /// None if the merge was only checked.
    pub stored: Option<&'a Merged>,
    pub warnings: &'a [Problem],
}

impl<'a> PayloadRow<'a, MergeRow<'a>> {
    fn merged(&self) -> Option<&'a Merged> {
        self.stored()?.stored
    }
}

payload! {
    MergeClientsPayload = MergeRow<'a>, "mergeClients";

    maybe<Client> client "The client that the other one was merged into, as it is stored; null if there are user \
        errors, or with `validateOnly`. Requires VIEW_CLIENT: without it, null and an error." needs ViewClient
        => |row| row.stored().and_then(|stored| stored.client);
    maybe_text mergedClientKey "The key of the merged client; null if there are user errors, or with `validateOnly`."
        => |row| row.merged().map(|merged| &*merged.from_key);
    int redirectedLinks "The number of links of other clients that the merge redirected to `client`."
        => |row| row.merged().map_or(0, |merged| merged.links as i64);
    list<ClientWarning> warnings "The warnings of the duplicate checks; empty if there are user errors, or if the \
        answer to an earlier request is repeated."
        => |row| row.stored().map(|stored| stored.warnings).unwrap_or_default();
    maybe_int conflictingFromVersion "With the user error VERSION_CONFLICT for `expectedFromVersion`, the stored \
        version; null otherwise." => |row| conflicting(row.problems(), "expectedFromVersion");
    maybe_int conflictingIntoVersion "With the user error VERSION_CONFLICT for `expectedIntoVersion`, the stored \
        version; null otherwise." => |row| conflicting(row.problems(), "expectedIntoVersion");
}

payload! {
    DeleteClientPayload = &'a Removed, "deleteClient";

    maybe_id deletedClientId "The global ID of the deleted client; null if there are user errors."
        => |row| Some(global_id::encode(Client::NAME, &[&row.stored()?.client_key]));
    maybe_text deletedClientKey "The key of the deleted client; null if there are user errors."
        => |row| row.stored().map(|removed| &*removed.client_key);
    int deletedMessages "The number of messages that were deleted with the client."
        => |row| row.stored().map_or(0, |removed| removed.messages as i64);
    int unsentMessages "The number of these messages that were waiting to be sent, and never will be."
        => |row| row.stored().map_or(0, |removed| removed.unsent as i64);
    maybe_int conflictingVersion "With the user error VERSION_CONFLICT, the stored version; null otherwise."
        => |row| row.problems().iter().find_map(Problem::stored_version);
}

payload! {
    EraseClientPayload = &'a Removed, "eraseClient";

    maybe_id erasedClientId "The global ID of the erased client; null if there are user errors."
        => |row| Some(global_id::encode(Client::NAME, &[&row.stored()?.client_key]));
    maybe_text erasedClientKey "The key of the erased client; null if there are user errors."
        => |row| row.stored().map(|removed| &*removed.client_key);
    maybe_instant erasedAt "The time of the erasure; null if there are user errors. If everything had been erased \
        before, the time of that." => |row| row.stored().map(|removed| removed.at);
    int erasedRecords "The number of audit records whose contents were erased."
        => |row| row.stored().map_or(0, |removed| removed.records as i64);
    texts mergedClientKeys "The keys of the clients that had been merged into this one, as far as you may see them. \
        They keep their own data, and no longer refer to this client: erase them, too."
        => |row| row.stored().map(|removed| removed.merged_keys.clone()).unwrap_or_default();
    int deletedMessages "The number of messages that were deleted with the client."
        => |row| row.stored().map_or(0, |removed| removed.messages as i64);
    int unsentMessages "The number of these messages that were waiting to be sent, and never will be."
        => |row| row.stored().map_or(0, |removed| removed.unsent as i64);
}

payload! {
    UpsertCustomFieldSetPayload = (SetRow<'a>, &'a [Problem]), "upsertCustomFieldSet";
    maybe<CustomFieldSet> customFieldSet "The stored set; null if there are user errors."
        => |row| row.stored().map(|(set, _)| set);
    list<DefinitionWarning> warnings "The effects on clients; empty if there are user errors."
        => |row| row.stored().map(|(_, warnings)| warnings).unwrap_or_default();
}

payload! {
    UpsertClientRolePayload = RoleRow<'a>, "upsertClientRole";
    maybe<ClientRole> clientRole "The stored role; null if there are user errors." => |row| row.stored();
}

payload! {
    UpsertIdDocumentTemplatePayload = &'a id_document_template::Model, "upsertIdDocumentTemplate";
    maybe<IdDocumentTemplate> idDocumentTemplate "The stored template; null if there are user errors."
        => |row| row.stored();
}

payload! {
    UpsertMessageTemplatePayload = TemplateRow<'a>, "upsertMessageTemplate";
    maybe<MessageTemplate> messageTemplate "The stored template; null if there are user errors." => |row| row.stored();
}

// Its row is the key of the deleted template.
payload! {
    DeleteMessageTemplatePayload = &'a str, "deleteMessageTemplate";
    maybe_id deletedMessageTemplateId "The global ID of the deleted template; null if there are user errors."
        => |row| Some(global_id::encode(MessageTemplate::NAME, &[row.stored()?]));
}

payload! {
    ResendMessagesPayload = (&'a Resent, Option<&'a LoadedData>), "resendMessages";

    maybe_list<Message> messages "The messages named by `ids`, in that order; null with a `filter` or if there are \
        user errors. Requires VIEW_MESSAGES." needs ViewMessages => |row| {
            let stored = row.stored().and_then(|(resent, loaded)| Some((resent.messages.as_ref()?, loaded?)));
            stored.map(|(messages, loaded)| messages.iter().map(move |message| (message, loaded)))
        };
    int resent "The number of messages that were queued again."
        => |row| row.stored().map_or(0, |(resent, _)| resent.count as i64);
    boolean more "True if more messages match the `filter`: repeat the mutation to resend them."
        => |row| row.stored().is_some_and(|(resent, _)| resent.more);
}

payload! {
    AddSuppressionPayload = (&'a suppression::Model, bool), "addSuppression";
    maybe<Suppression> suppression "The entry of the recipient; null if there are user errors."
        => |row| row.stored().map(|(suppression, _)| suppression);
    boolean added "True if this mutation added the recipient; false if it was on the list before."
        => |row| row.stored().is_some_and(|(_, added)| added);
}

payload! {
    RemoveSuppressionPayload = &'a suppression::Model, "removeSuppression";
    maybe<Suppression> suppression "The entry that was removed; null if there are user errors." => |row| row.stored();
}

payload! {
    UpsertUserPayload = (&'a access::User, bool), "upsertUser";
    maybe<User> user "The stored user; null if there are user errors." => |row| row.stored().map(|(user, _)| user);
    boolean created "True if this mutation created the user." => |row| row.stored().is_some_and(|(_, created)| created);
}

// Its row is the key of the deleted user.
payload! {
    DeleteUserPayload = &'a str, "deleteUser";
    maybe_id deletedUserId "The global ID of the deleted user; null if there are user errors."
        => |row| Some(global_id::encode(User::NAME, &[row.stored()?]));
    maybe_text deletedUserKey "The key of the deleted user; null if there are user errors." => |row| row.stored();
}

payload! {
    ChangePasswordPayload = (), "changePassword";
    boolean changed "True if the password was changed." => |row| row.stored().is_some();
}

// Its row is the token with its secret.
payload! {
    CreateTokenPayload = (&'a access::Token, &'a str), "createToken";
    maybe<Token> token "The stored token; null if there are user errors." => |row| row.stored().map(|(token, _)| token);
    maybe_text secret "The secret, which the program sends as `Authorization: Bearer …` or `apiKey: …`. It is \
        returned only once; null if there are user errors." => |row| row.stored().map(|(_, secret)| secret);
}

payload! {
    RevokeTokenPayload = &'a access::Token, "revokeToken";
    maybe<Token> token "The revoked token; null if there are user errors." => |row| row.stored();
    maybe_id revokedTokenId "The global ID of the revoked token, which stays in the list; null if there are user \
        errors." => |row| Some(global_id::encode(Token::NAME, &[&row.stored()?.row.encoded_key]));
}

/// A session with new tokens, and its user as a caller.
#[derive(Clone, Copy)]
pub struct SessionRow<'a> {
    pub session: &'a access::Session,
    pub tokens: &'a access::Tokens,
    pub caller: &'a Caller,
}

macro_rules! tokens_payload {
    ($name:ident, $mutation:literal) => {
        payload! {
            $name = SessionRow<'a>, $mutation;

            maybe_text accessToken "The access token, which the application sends as `Authorization: Bearer …`. Null \
if there are user errors." => |row| row.stored().map(|stored| stored.tokens.access.reveal());
            maybe_instant accessTokenExpiresAt "The time at which the access token expires; null if there are user \
errors." => |row| row.stored().map(|stored| stored.session.row.access_expires_at);
            maybe_text refreshToken "The refresh token, which `refreshSession` accepts once. Null if there are user \
errors." => |row| row.stored().map(|stored| stored.tokens.refresh.reveal());
            maybe_instant refreshTokenExpiresAt "The time at which the refresh token expires; null if there are user \
errors." => |row| row.stored().map(|stored| stored.session.row.refresh_expires_at);
            maybe<Session> session "The session; null if there are user errors."
                => |row| row.stored().map(|stored| stored.session);
            maybe<Viewer> viewer "The user, as the caller of a request with the access token; null if there are user \
errors." => |row| row.stored().map(|stored| (stored.caller, stored.session.password_is_initial));
        }
    };
}

tokens_payload!(SignInPayload, "signIn");
tokens_payload!(RefreshSessionPayload, "refreshSession");

payload! {
    SignOutPayload = i64, "signOut";
    int endedSessions "The number of sessions that were ended." => |row| row.stored().unwrap_or_default();
}

payload! {
    RevokeSessionPayload = &'a access::Session, "revokeSession";
    maybe<Session> session "The session that was ended; null if there are user errors." => |row| row.stored();
    maybe_id revokedSessionId "The global ID of the session, which no longer exists; null if there are user errors."
        => |row| Some(global_id::encode(Session::NAME, &[&row.stored()?.row.encoded_key]));
}
