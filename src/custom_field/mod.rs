//! Custom field definitions.
