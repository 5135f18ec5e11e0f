//! Clients: the domain.
