//! The shell around the GraphQL door: what other sites' pages may send, whose pages are let in, and what happens to requests
//! that take too long.

mod cross_site;
mod timeouts;
