//! The search of clients by words, and the rows that it reads.

mod filters;
mod plans;
mod rows;
mod words;
