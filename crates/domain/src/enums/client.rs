//! The enums of clients, with the text of each value on the wire and in the database.

use clientele_core::text_enum;

text_enum! {
    /// The state of a client at the bank.
    ClientState {
        /// Waiting for approval.
        PendingApproval = "PENDING_APPROVAL",
        /// Approved, without an active account.
        Inactive = "INACTIVE",
        /// Has an active account.
        Active = "ACTIVE",
        /// Has left the bank.
        Exited = "EXITED",
        /// Must not be served.
        Blacklisted = "BLACKLISTED",
        /// Not accepted as a client.
        Rejected = "REJECTED",
    }
}

text_enum! {
    /// A client's gender.
    Gender {
        /// Male.
        Male = "MALE",
        /// Female.
        Female = "FEMALE",
    }
}

text_enum! {
    /// A language of messages to clients.
    Language {
        /// English.
        English = "ENGLISH",
        /// Portuguese. The name has the spelling of the legacy API.
        Portuguese = "PORTUGESE",
        /// Spanish.
        Spanish = "SPANISH",
        /// Russian.
        Russian = "RUSSIAN",
        /// French.
        French = "FRENCH",
        /// Georgian.
        Georgian = "GEORGIAN",
        /// Chinese.
        Chinese = "CHINESE",
        /// Indonesian.
        Indonesian = "INDONESIAN",
        /// Romanian.
        Romanian = "ROMANIAN",
        /// Burmese.
        Burmese = "BURMESE",
        /// German.
        German = "GERMAN",
    }
}
