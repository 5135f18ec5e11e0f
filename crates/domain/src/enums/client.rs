//! The closed lists a client's members are taken from, with the text each value has on the wire and in the database.

use clientele_core::text_enum;

text_enum! {
    /// Where a client is in its life at the bank.
    ClientState {
        /// Waits to be approved.
        PendingApproval = "PENDING_APPROVAL",
        /// Approved, without an active account.
        Inactive = "INACTIVE",
        /// Has an active account.
        Active = "ACTIVE",
        /// Has left the bank.
        Exited = "EXITED",
        /// Must not be served.
        Blacklisted = "BLACKLISTED",
        /// Was not accepted as a client.
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
    /// A language that a client can be written to in. The spelling is that of the legacy API.
    Language {
        /// English.
        English = "ENGLISH",
        /// Portuguese; spelled so by the legacy API.
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
