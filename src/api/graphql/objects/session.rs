//! Sessions of users.

use super::connection::listed;
use crate::api::graphql::global_id;
use clientele_domain::access::{self, Listing};

object! {
    node Session = &'a access::Session, "A session of a user, from `signIn` on. Its tokens are stored only as hashes.";

    id id "The global ID." => |session| global_id::encode(Self::NAME, &[&session.row.encoded_key]);
    text encodedKey "The key of the session. It isn't secret." => |session| &session.row.encoded_key;
    text userName "The name of the user." => |session| &session.user_name;
    boolean isCurrent "True if this request uses the session's access token." => |session| session.is_current;
    instant createdAt "The time of the sign-in." => |session| session.row.created_at;
    instant refreshedAt "The time at which the session was refreshed last; the time of the sign-in if it never was."
        => |session| session.row.refreshed_at;
    instant refreshTokenExpiresAt "The time at which the session ends unless it is refreshed before."
        => |session| session.row.refresh_expires_at;
    instant expiresAt "The time at which the session ends in any case." => |session| session.row.expires_at;
}

listed! {
    Session, "A page of sessions, ordered by their start.", Listing<access::Session> => page: access::Session;
    cursor |_, session| session.cursor();
    row |session, _| session
}
