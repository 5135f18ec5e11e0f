//! Tests of each rule that preparation adds to async-graphql.

mod collecting;
mod input_values;
mod merging;
mod model;
mod text;
mod validity;
