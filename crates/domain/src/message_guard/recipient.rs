//! Normalises recipients, so that limits and the suppression list find a recipient however it is written.

use serde::Serialize;

use crate::enums::Channel;
use clientele_core::{
    mail_address::{ascii_domain, is_address},
    phone_number::{Region, e164, region},
};

/// A normalised recipient.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Recipient {
    pub channel: Channel,
    pub recipient: String,
}

/// Normalises the recipients of all channels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recipients {
    /// The country of numbers without a country code.
    region: Option<Region>,
}

impl Recipients {
    /// `region` has two letters, or is empty for none.
    pub fn new(region_code: &str) -> Self {
        Self {
            region: region(region_code),
        }
    }

    /// The country of numbers without a country code.
    pub fn region(self) -> Option<Region> {
        self.region
    }

    /// A recipient in its normal form.
    pub fn of(self, channel: Channel, recipient: &str) -> Recipient {
        Recipient {
            channel,
            recipient: self.normalise(channel, recipient),
        }
    }

    /// The normal form of a recipient: an e-mail address in lower case with its domain in ASCII, or a phone number in
    /// E.164, as in `+15551234567`. Mail servers can tell letters' cases apart before the @, and practically none does.
    ///
    /// A text that isn't a valid recipient has a normal form, too: it can be stored at a client.
    pub fn normalise(self, channel: Channel, recipient: &str) -> String {
        self.parse(channel, recipient)
            .unwrap_or_else(|| recipient.trim().to_lowercase())
    }

    /// The normal form of a valid recipient. None for any other text.
    pub fn parse(self, channel: Channel, recipient: &str) -> Option<String> {
        let recipient = recipient.trim();
        match channel {
            Channel::Sms => e164(recipient, self.region),
            Channel::Email if is_address(recipient) => {
                let (name, domain) = recipient.rsplit_once('@')?;
                Some(format!("{}@{}", name.to_lowercase(), ascii_domain(domain)?))
            }
            Channel::Email => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Recipients;
    use crate::enums::Channel::{Email, Sms};

    #[test]
    fn recipient_has_one_normal_form_however_it_is_written() {
        for (region, channel, text, normal) in [
            ("", Email, "ines@example.test", "ines@example.test"),
            ("", Email, " Ines.Okafor@EXAMPLE.test ", "ines.okafor@example.test"),
            ("", Email, "INÉS@Bücher.Test", "inés@xn--bcher-kva.test"),
            ("", Email, "inés@xn--bcher-kva.test", "inés@xn--bcher-kva.test"),
            // Stored under earlier rules.
            ("", Email, "Ines@localhost", "ines@localhost"),
            ("", Sms, "+1 (415) 555-0101", "+14155550101"),
            ("US", Sms, "(415) 555-0101", "+14155550101"),
            ("GB", Sms, "07700 900123", "+447700900123"),
            ("GB", Sms, "+44 (0)7700 900123", "+447700900123"),
            ("", Sms, "(415) 555-0101", "(415) 555-0101"),
            ("", Sms, "NONE", "none"),
        ] {
            assert_eq!(Recipients::new(region).normalise(channel, text), normal, "{text}");
        }
        for (channel, text) in [(Email, "ines"), (Email, "a@b@c.test"), (Sms, "555"), (Sms, "none")] {
            assert_eq!(Recipients::new("US").parse(channel, text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn normal_form_of_any_text_is_its_own_normal_form(text in "\\PC{0,30}") {
            for channel in [Email, Sms] {
                let normal = Recipients::new("US").normalise(channel, &text);
                prop_assert_eq!(Recipients::new("US").normalise(channel, &normal), normal);
            }
        }
    }
}
