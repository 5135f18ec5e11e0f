//! The search of clients by words, and the rows that it reads.

mod rows;
