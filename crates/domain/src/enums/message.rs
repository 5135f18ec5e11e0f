//! The enums of notifications, with the text of each value on the wire and in the database.

use clientele_core::text_enum;

text_enum! {
    /// An event of a client.
    #[graphql(name = "MessageEvent")]
    Event {
        /// The client has been created, through any API.
        ClientCreated = "CLIENT_CREATED",
        /// The client, or anything that belongs to it, has been changed.
        ClientUpdated = "CLIENT_UPDATED",
    }
}

text_enum! {
    /// The channel of a message.
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
    /// The state of a message.
    MessageState {
        /// Waiting to be sent, or to be tried again.
        Queued = "QUEUED",
        /// A worker is sending it.
        Sending = "SENDING",
        /// The channel's provider has accepted it.
        Sent = "SENT",
        /// It will not be sent, unless it is resent.
        Failed = "FAILED",
    }
}

text_enum! {
    /// Why the last attempt at sending a message failed.
    #[derive(Hash)]
    #[graphql(name = "MessageFailureReason")]
    Reason {
        /// The provider couldn't be reached, or closed the connection.
        Connection = "CONNECTION",
        /// The provider didn't answer in time.
        Timeout = "TIMEOUT",
        /// No encrypted connection could be established.
        Tls = "TLS",
        /// The provider rejected the credentials.
        Credentials = "CREDENTIALS",
        /// The provider asked for a retry later.
        Deferred = "DEFERRED",
        /// The provider had an internal error.
        ProviderError = "PROVIDER_ERROR",
        /// The provider refused the message permanently.
        Refused = "REFUSED",
        /// The recipient's address or number is invalid.
        InvalidRecipient = "INVALID_RECIPIENT",
        /// The text exceeds the limit of the channel.
        TooLong = "TOO_LONG",
        /// The message couldn't be rendered from its template.
        Unrenderable = "UNRENDERABLE",
        /// The server had an internal error.
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
