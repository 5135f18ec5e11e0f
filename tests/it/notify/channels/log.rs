//! The channel of development says that something would be sent, and nothing of what and to whom.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use clientele::notify::Channel;
use clientele::notify::channel::{Channels, Outcome};
use clientele::notify::settings::NotificationSettings;

use super::{now, outgoing};

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

#[tokio::test]
async fn the_log_holds_a_mask_of_the_recipient_and_no_word_of_the_message() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let channels = Channels::new(&NotificationSettings::default()).expect("the defaults are usable");
    for (channel, recipient) in [
        (Channel::Email, "ines.okafor@example.test"),
        (Channel::Sms, "+1 555 123 4567"),
        (Channel::Sms, "neither\r\nof both"),
    ] {
        let outcome = channels.send(channel, &outgoing(recipient), now()).await;
        assert_eq!(outcome, Outcome::Sent { provider_id: None });
        assert!(!channels.sends(channel));
    }
    let written = String::from_utf8(written.0.lock().expect("no writer has panicked").clone()).expect("UTF-8");
    let place = "INFO clientele::notify::channel::log: a message that no channel sends";
    assert_eq!(
        written,
        format!(
            " {place} channel=\"EMAIL\" key=\"0193a5c0-17\" recipient=\"i***@***.test\"\n \
             {place} channel=\"SMS\" key=\"0193a5c0-17\" recipient=\"***67\"\n \
             {place} channel=\"SMS\" key=\"0193a5c0-17\" recipient=\"***\"\n"
        )
    );
}
