//! The logs of the channels: no personal data, and the log channel for development.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use clientele::delivery::channel::{Channels, Outcome};
use clientele::delivery::settings::NotificationSettings;
use clientele::enums::{Channel, Provider};

use super::{channels, now, outgoing};
use crate::harness::peers::{Answering, GatewayPeer, Mailing, SmtpPeer, Stage};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer has panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    /// Everything that this thread logs from now on, at any level.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no writer has panicked").clone()).expect("UTF-8")
    }
}

#[tokio::test]
async fn sending_logs_no_personal_data_at_any_level() {
    let (mail, gateway) = (
        SmtpPeer::start(Mailing::Accept).await,
        GatewayPeer::start(Answering::Accept).await,
    );
    let written = Written::default();
    let _guard = written.listen();
    let channels = channels(mail.settings(), gateway.settings());
    for _ in 0..2 {
        channels
            .send(Channel::Email, Provider::Primary, &outgoing("ines@example.test"), now())
            .await;
        channels
            .send(Channel::Sms, Provider::Primary, &outgoing("+1 555 123 4567"), now())
            .await;
        mail.set(Mailing::Answer(
            Stage::Recipient,
            "550 5.1.1 no mailbox ines@example.test",
        ));
        gateway.set(Answering::status(500));
    }
    assert_eq!((mail.messages().len(), gateway.messages().len()), (1, 2));
    let text = written.text().to_lowercase();
    for secret in ["ines", "5551234567", "dear", "welcome", "hunter2", "yw5homh1bnrlcji"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn log_channel_masks_recipient_and_omits_the_text() {
    let written = Written::default();
    let _guard = written.listen();
    let channels = Channels::new(&NotificationSettings::default()).expect("the defaults are usable");
    for (channel, recipient) in [
        (Channel::Email, "ines.okafor@example.test"),
        (Channel::Sms, "+1 555 123 4567"),
        (Channel::Sms, "neither\r\nof both"),
    ] {
        let outcome = channels
            .send(channel, Provider::Primary, &outgoing(recipient), now())
            .await;
        let provider_id = Some("log".to_owned());
        assert_eq!(outcome, Outcome::Sent { provider_id });
        assert!(!channels.sends(channel));
    }
    let place = "INFO clientele_delivery::channel::log: a message that no channel sends";
    assert_eq!(
        written.text(),
        format!(
            " {place} channel=\"EMAIL\" key=\"0193a5c0-17\" recipient=\"i***@***.test\"\n \
             {place} channel=\"SMS\" key=\"0193a5c0-17\" recipient=\"***67\"\n \
             {place} channel=\"SMS\" key=\"0193a5c0-17\" recipient=\"***\"\n"
        )
    );
}
