//! The kinds of changes.

use clientele_core::text_enum;

text_enum! {
    /// The kind of a client's change.
    #[derive(Hash)]
    #[graphql(name = "ClientChangeKind")]
    ChangeKind {
        /// The client was created.
        Created = "CREATED",
        /// The client was changed, but not its state.
        Changed = "CHANGED",
        /// The state of the client was changed, possibly together with other members.
        StateChanged = "STATE_CHANGED",
        /// The client was merged into another one, and has exited. The other one has a change of its own.
        Merged = "MERGED",
        /// The client was deleted: remove your copy.
        Deleted = "DELETED",
        /// The personal data of the client was erased: remove your copy, and what you have derived from it.
        Erased = "ERASED",
        /// The client was moved out of the branches or centres that you or the filter are limited to: remove your copy.
        Left = "LEFT",
    }
}
