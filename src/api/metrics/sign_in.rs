//! The labels of sign-ins.

/// The method of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInMethod {
    None,
    Password,
    Token,
    IssuedToken,
}

impl SignInMethod {
    pub const ALL: [Self; 4] = [Self::None, Self::Password, Self::Token, Self::IssuedToken];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Password => "password",
            Self::Token => "token",
            Self::IssuedToken => "issued_token",
        }
    }
}

/// The result of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInOutcome {
    Success,
    Missing,
    Wrong,
    Throttled,
    Busy,
    Failed,
}

impl SignInOutcome {
    pub const ALL: [Self; 6] = [
        Self::Success,
        Self::Missing,
        Self::Wrong,
        Self::Throttled,
        Self::Busy,
        Self::Failed,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Throttled => "throttled",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}
