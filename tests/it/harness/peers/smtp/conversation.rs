//! One connection of the mail server: commands, replies, and the stages that can fail on request.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::{Mailed, Mailing, Security, Shared, Stage, Stream};

pub(super) struct Conversation<'a> {
    stream: BufReader<Box<dyn Stream>>,
    shared: &'a Shared,
    encrypted: bool,
    user: Option<String>,
    behaviour: Mailing,
    from: Option<String>,
    to: Vec<String>,
}

#[derive(PartialEq, Eq)]
pub(super) enum Next {
    Encrypt,
    End,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(stream: Box<dyn Stream>, encrypted: bool, shared: &'a Shared) -> Self {
        Self {
            stream: BufReader::new(stream),
            shared,
            encrypted,
            user: None,
            behaviour: Mailing::Accept,
            from: None,
            to: Vec::new(),
        }
    }

    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        self.stream.into_inner()
    }

    pub(super) async fn greet(&mut self) -> Option<()> {
        match self.shared.book.next(greets) {
            Some(Mailing::Greet(line)) => {
                self.say(line).await?;
                None
            }
            Some(_) => std::future::pending().await,
            None => self.say("220 peer.test ESMTP").await,
        }
    }

    /// Up to the end, or to the point from which all is encrypted.
    pub(super) async fn run(&mut self) -> Option<Next> {
        loop {
            let line = self.line().await?;
            let (command, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            match command.to_ascii_uppercase().as_str() {
                "EHLO" => self.introduce().await?,
                "STARTTLS" if self.shared.options.security == Security::Starttls && !self.encrypted => {
                    self.say("220 go ahead").await?;
                    return Some(Next::Encrypt);
                }
                "AUTH" => self.authenticate(rest).await?,
                "MAIL" => self.sender(rest).await?,
                "RCPT" if self.from.is_some() => self.recipient(rest).await?,
                "DATA" if !self.to.is_empty() => self.message().await?,
                "RSET" => {
                    self.reset();
                    self.say("250 2.0.0 Ok").await?;
                }
                "NOOP" => self.say("250 2.0.0 Ok").await?,
                "QUIT" => {
                    self.say("221 2.0.0 Bye").await?;
                    return Some(Next::End);
                }
                _ => self.say("503 5.5.1 not now").await?,
            }
        }
    }

    async fn introduce(&mut self) -> Option<()> {
        let options = &self.shared.options;
        let mut lines = vec!["peer.test", "8BITMIME"];
        if options.security == Security::Starttls && !self.encrypted {
            lines.push("STARTTLS");
        }
        if options.utf8 {
            lines.push("SMTPUTF8");
        }
        match (&options.credentials, options.login_only) {
            (Some(_), false) => lines.push("AUTH PLAIN LOGIN"),
            (Some(_), true) => lines.push("AUTH LOGIN"),
            (None, _) => {}
        }
        let last = lines.len() - 1;
        for (index, line) in lines.into_iter().enumerate() {
            let mark = if index == last { ' ' } else { '-' };
            self.say(&format!("250{mark}{line}")).await?;
        }
        Some(())
    }

    async fn authenticate(&mut self, rest: &str) -> Option<()> {
        let (user, password) = match rest.split_once(' ') {
            Some(("PLAIN", initial)) => {
                let text = decoded(initial)?;
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                (parts.next()?, parts.next()?)
            }
            _ => {
                self.say("334 VXNlcm5hbWU6").await?;
                let user = decoded(&self.line().await?)?;
                self.say("334 UGFzc3dvcmQ6").await?;
                (user, decoded(&self.line().await?)?)
            }
        };
        if self.shared.options.credentials == Some((user.as_str(), password.as_str())) {
            self.user = Some(user);
            self.say("235 2.7.0 accepted").await
        } else {
            self.say("535 5.7.8 wrong credentials").await
        }
    }

    async fn sender(&mut self, rest: &str) -> Option<()> {
        self.reset();
        if self.shared.options.credentials.is_some() && self.user.is_none() {
            return self.say("530 5.7.0 authentication required").await;
        }
        // Behaviour set for the next connection does not apply to this message.
        self.behaviour = self.shared.book.next(|next| !greets(next)).unwrap_or(Mailing::Accept);
        self.answer(Stage::Sender, "250 2.1.0 Ok").await?;
        self.from = Some(address(rest));
        Some(())
    }

    async fn recipient(&mut self, rest: &str) -> Option<()> {
        if self.answer(Stage::Recipient, "250 2.1.5 Ok").await? {
            self.to.push(address(rest));
        }
        Some(())
    }

    async fn message(&mut self) -> Option<()> {
        if !self.answer(Stage::Data, "354 end with a dot").await? {
            return Some(());
        }
        let mut data = String::new();
        loop {
            let line = self.raw_line().await?;
            match line.strip_prefix('.') {
                Some("\r\n") => break,
                Some(rest) => data.push_str(rest),
                None => data.push_str(&line),
            }
        }
        let mailed = Mailed {
            from: self.from.take()?,
            to: std::mem::take(&mut self.to),
            data,
            encrypted: self.encrypted,
            user: self.user.clone(),
        };
        match self.behaviour {
            Mailing::Drop { stored } => {
                if stored {
                    self.shared.book.record(mailed);
                }
                return None;
            }
            Mailing::Answer(Stage::Message, _) | Mailing::Hang(Stage::Message) => {}
            _ => self.shared.book.record(mailed),
        }
        self.answer(Stage::Message, "250 2.0.0 Ok: queued as 17").await?;
        Some(())
    }

    /// Accepts, or sends the reply set by the test. Returns whether it accepted.
    async fn answer(&mut self, stage: Stage, yes: &str) -> Option<bool> {
        match self.behaviour {
            Mailing::Hang(at) if at == stage => std::future::pending().await,
            Mailing::Answer(at, line) if at == stage => {
                self.say(line).await?;
                (!line.starts_with("421")).then_some(false)
            }
            _ => self.say(yes).await.map(|()| true),
        }
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn say(&mut self, line: &str) -> Option<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.ok()?;
        self.stream.flush().await.ok()
    }

    async fn line(&mut self) -> Option<String> {
        Some(self.raw_line().await?.trim_end_matches(['\r', '\n']).to_owned())
    }

    async fn raw_line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).await.ok()?;
        (read > 0).then_some(line)
    }
}

fn greets(behaviour: &Mailing) -> bool {
    matches!(behaviour, Mailing::Greet(_) | Mailing::Hang(Stage::Greeting))
}

/// As in `FROM:<ines@example.test> SMTPUTF8`.
fn address(text: &str) -> String {
    let inside = text.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or(text, |(address, _)| address).to_owned()
}

fn decoded(text: &str) -> Option<String> {
    String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()
}
