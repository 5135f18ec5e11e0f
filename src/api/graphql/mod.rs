//! The GraphQL door.
