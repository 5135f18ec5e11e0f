//! The legacy REST door.
