//! The identity of a span, and its form in the header `traceparent` (W3C Trace Context, level 1).

use std::fmt;

/// The header that passes a [`SpanContext`] on.
pub const TRACEPARENT: &str = "traceparent";

/// The length of a header of version 00. Later versions may add to it.
const LENGTH: usize = 55;
const SAMPLED: u8 = 0x01;

/// The id of a trace; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

/// The id of a span; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(u64);

/// A span as other spans and other processes refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    pub trace: TraceId,
    pub span: SpanId,
    /// True if the trace is recorded.
    pub is_sampled: bool,
}

impl SpanContext {
    /// Parses the value of a header `traceparent`. None for an invalid one, which counts as absent.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (fields, rest) = header.split_at_checked(LENGTH)?;
        if [2, 35, 52].iter().any(|&at| fields[at] != b'-') {
            return None;
        }
        let (version, trace, span, flags) = (&fields[..2], &fields[3..35], &fields[36..52], &fields[53..]);
        let version = hex(version)?;
        let is_complete = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        if !is_complete {
            return None;
        }
        let flags = hex(flags)?;
        Some(Self {
            trace: TraceId::new(hex(trace)?)?,
            span: SpanId::new(u64::try_from(hex(span)?).ok()?)?,
            is_sampled: flags & u128::from(SAMPLED) != 0,
        })
    }
}

/// The value of a header `traceparent`.
impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.is_sampled { SAMPLED } else { 0 };
        write!(f, "00-{}-{}-{flags:02x}", self.trace, self.span)
    }
}

impl TraceId {
    /// None for 0.
    pub fn new(id: u128) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The 56 bits that are random in all traces, by which traces are sampled.
    pub(super) fn random_part(self) -> u64 {
        let [_, bytes @ ..] = (self.0 as u64).to_be_bytes();
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl SpanId {
    /// None for 0.
    pub fn new(id: u64) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A number of lower-case hexadecimal digits, at most 32.
fn hex(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0, |number: u128, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::SpanContext;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn header_is_parsed_and_written() {
        for flags in ["00", "01"] {
            let header = format!("00-{TRACE}-{SPAN}-{flags}");
            let context = SpanContext::parse(header.as_bytes()).expect(&header);
            assert_eq!(context.trace.to_string(), TRACE);
            assert_eq!(context.span.to_string(), SPAN);
            assert_eq!(context.is_sampled, flags == "01");
            assert_eq!(context.to_string(), header);
        }
    }

    #[test]
    fn invalid_headers_count_as_absent() {
        for (header, is_valid) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            // The other flags are reserved.
            (format!("00-{TRACE}-{SPAN}-ff"), true),
            (format!("00-{}-{SPAN}-01", "1".repeat(32)), true),
            // Later versions can be longer.
            (format!("cc-{TRACE}-{SPAN}-01"), true),
            (format!("cc-{TRACE}-{SPAN}-01-what-is-new"), true),
            (format!("cc-{TRACE}-{SPAN}-01."), false),
            (format!("00-{TRACE}-{SPAN}-01-more"), false),
            (format!("00-{TRACE}-{SPAN}-01 "), false),
            (format!("ff-{TRACE}-{SPAN}-01"), false),
            (format!("0-{TRACE}-{SPAN}-01"), false),
            (format!("00-{TRACE}-{SPAN}-1"), false),
            (format!("00-{TRACE}-{SPAN}-"), false),
            (format!("00-{TRACE}-{SPAN}"), false),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), false),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), false),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), false),
            (format!("00-{TRACE}-{SPAN}-0G"), false),
            (format!("00-{}-{SPAN}0-01", &TRACE[1..]), false),
            (format!("00_{TRACE}_{SPAN}_01"), false),
            (format!("00-{}--{SPAN}-01", &TRACE[1..]), false),
            ("é".repeat(30), false),
            (String::new(), false),
        ] {
            assert_eq!(SpanContext::parse(header.as_bytes()).is_some(), is_valid, "{header}");
        }
    }
}
