//! The server as its callers see it: one program, so that it is linked once.

mod cli;
