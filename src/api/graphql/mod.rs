//! The GraphQL door.

/// The schema in its own language, as `clientele schema` prints it.
pub fn sdl() -> String {
    String::new()
}
