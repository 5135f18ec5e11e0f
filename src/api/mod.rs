//! The doors. Each turns what came over the wire into the domain's types, calls one domain function and writes the answer.

pub mod graphql;
pub mod rest;
