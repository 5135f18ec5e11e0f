//! Each sentence of design §7a and each gap of the engine that is closed here, by its name.

mod collecting;
mod input_values;
mod merging;
mod model;
mod text;
mod validity;
