//! The search of clients by words, and the rows that it reads.

mod filters;
mod rows;
mod words;
