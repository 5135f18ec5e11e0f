//! The enums of notifications, with the text of each value on the wire and in the database.

use clientele_core::text_enum;

text_enum! {
    /// An event that messages are sent for.
    #[graphql(name = "MessageEvent")]
    Event {
        /// A client was created, through any API.
        ClientCreated = "CLIENT_CREATED",
        /// A client, or anything that belongs to it, was changed; also a change of state without an event of its own.
        ClientUpdated = "CLIENT_UPDATED",
        /// A client was approved.
        ClientApproved = "CLIENT_APPROVED",
        /// A client was rejected.
        ClientRejected = "CLIENT_REJECTED",
        /// A client has left the bank.
        ClientExited = "CLIENT_EXITED",
        /// A client was blacklisted.
        ClientBlacklisted = "CLIENT_BLACKLISTED",
    }
}

impl Event {
    /// The events of a change of an existing client.
    pub const OF_CHANGES: [Self; 5] = [
        Self::ClientUpdated,
        Self::ClientApproved,
        Self::ClientRejected,
        Self::ClientExited,
        Self::ClientBlacklisted,
    ];
}

text_enum! {
    /// The channel of a message.
    #[derive(Hash)]
    #[graphql(name = "MessageChannel")]
    Channel {
        /// E-mail, to the client's e-mail address.
        Email = "EMAIL",
        /// Text message, to the client's first mobile phone number, or else to the second.
        Sms = "SMS",
    }
}

text_enum! {
    /// A provider of a channel.
    #[derive(Hash)]
    #[graphql(name = "MessageProvider")]
    Provider {
        /// The channel's first provider, or the log where there is none.
        Primary = "PRIMARY",
        /// The provider that takes messages while the first one fails.
        Fallback = "FALLBACK",
    }
}

text_enum! {
    /// The state of a message.
    MessageState {
        /// Waiting to be sent, or for the next attempt.
        Queued = "QUEUED",
        /// A worker is sending it.
        Sending = "SENDING",
        /// The channel's provider has accepted it. Without delivery receipts, this is the last state.
        Sent = "SENT",
        /// Sending has failed for good, unless the message is resent.
        Failed = "FAILED",
        /// A receipt says that the recipient got it.
        Delivered = "DELIVERED",
        /// A receipt says that it came back: the recipient didn't get it.
        Bounced = "BOUNCED",
        /// It was not sent: its recipient is on the suppression list, or a limit was reached. `reason` says which.
        Suppressed = "SUPPRESSED",
    }
}

text_enum! {
    /// The reason why a message wasn't delivered, or why its recipient gets no further ones.
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
        /// A receipt says that the provider could not deliver the message.
        Undelivered = "UNDELIVERED",
        /// The message bounced for a reason that may pass, such as a full mailbox.
        SoftBounce = "SOFT_BOUNCE",
        /// The message bounced because the address doesn't exist or takes no messages.
        HardBounce = "HARD_BOUNCE",
        /// The recipient got the message and reported it as unwanted.
        Complaint = "COMPLAINT",
        /// The recipient is on the suppression list.
        SuppressionList = "SUPPRESSION_LIST",
        /// The recipient had already got as many messages as it may get in a day.
        RecipientLimit = "RECIPIENT_LIMIT",
        /// The caller had already raised as many messages as it may raise in an hour.
        CallerLimit = "CALLER_LIMIT",
    }
}

text_enum! {
    /// The reason why a recipient is on the suppression list.
    SuppressionReason {
        /// A message bounced because the address doesn't exist or takes no messages.
        HardBounce = "HARD_BOUNCE",
        /// The recipient reported a message as unwanted.
        Complaint = "COMPLAINT",
        /// A caller added it for another reason.
        Manual = "MANUAL",
    }
}

text_enum! {
    /// The status of a message in a delivery receipt.
    ReceiptStatus {
        /// The recipient got it.
        Delivered = "DELIVERED",
        /// It came back.
        Bounced = "BOUNCED",
        /// The provider gave up.
        Failed = "FAILED",
        /// The recipient got it and reported it as unwanted.
        Complained = "COMPLAINED",
    }
}

impl ReceiptStatus {
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Bounced, Self::Failed, Self::Complained];
}

impl Channel {
    pub const ALL: [Self; 2] = [Self::Email, Self::Sms];
}

impl Provider {
    pub const ALL: [Self; 2] = [Self::Primary, Self::Fallback];
}

impl Reason {
    /// The reasons of failed attempts.
    pub const OF_ATTEMPTS: [Self; 11] = [
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
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Failed,
        Self::Delivered,
        Self::Bounced,
        Self::Suppressed,
    ];
    /// The states of messages that can be resent.
    pub const RESENDABLE: [Self; 3] = [Self::Failed, Self::Bounced, Self::Suppressed];
}

impl Reason {
    /// The reasons of suppressed messages.
    pub const OF_SUPPRESSION: [Self; 3] = [Self::SuppressionList, Self::RecipientLimit, Self::CallerLimit];
}
