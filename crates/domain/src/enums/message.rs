//! The closed lists of notifications, with the text each value has on the wire and in the database.

use clientele_core::text_enum;

text_enum! {
    /// What happened to a client.
    #[graphql(name = "MessageEvent")]
    Event {
        /// The client has been created, through any API.
        ClientCreated = "CLIENT_CREATED",
        /// The client, or anything that belongs to it, has been changed.
        ClientUpdated = "CLIENT_UPDATED",
    }
}

text_enum! {
    /// The way a message takes.
    #[derive(Hash)]
    #[graphql(name = "MessageChannel")]
    Channel {
        /// To the client's e-mail address.
        Email = "EMAIL",
        /// To the client's first mobile phone number, else to the second.
        Sms = "SMS",
    }
}

text_enum! {
    /// Where a message is on its way.
    MessageState {
        /// Waits to be sent, or to be tried again.
        Queued = "QUEUED",
        /// A worker has it in hand.
        Sending = "SENDING",
        /// The channel's provider has accepted it.
        Sent = "SENT",
        /// It will not be sent, unless somebody asks for it again.
        Failed = "FAILED",
    }
}

text_enum! {
    /// Why the last attempt at sending a message failed.
    #[derive(Hash)]
    #[graphql(name = "MessageFailureReason")]
    Reason {
        /// The provider couldn't be reached, or hung up.
        Connection = "CONNECTION",
        /// The provider didn't answer in time.
        Timeout = "TIMEOUT",
        /// No encrypted connection came about.
        Tls = "TLS",
        /// The provider doesn't accept the credentials it is given.
        Credentials = "CREDENTIALS",
        /// The provider asked for another try later.
        Deferred = "DEFERRED",
        /// The provider had a failure of its own.
        ProviderError = "PROVIDER_ERROR",
        /// The provider refused the message for good.
        Refused = "REFUSED",
        /// The recipient's address or number can't be one.
        InvalidRecipient = "INVALID_RECIPIENT",
        /// The text is longer than the channel takes.
        TooLong = "TOO_LONG",
        /// The message couldn't be written from its template.
        Unrenderable = "UNRENDERABLE",
        /// The server itself failed.
        Internal = "INTERNAL",
    }
}

impl Channel {
    pub const ALL: [Self; 2] = [Self::Email, Self::Sms];
}

impl Reason {
    pub const ALL: [Self; 11] = [
        Self::Connection,
        Self::Timeout,
        Self::Tls,
        Self::Credentials,
        Self::Deferred,
        Self::ProviderError,
        Self::Refused,
        Self::InvalidRecipient,
        Self::TooLong,
        Self::Unrenderable,
        Self::Internal,
    ];
}

impl MessageState {
    pub const ALL: [Self; 4] = [Self::Queued, Self::Sending, Self::Sent, Self::Failed];
}
