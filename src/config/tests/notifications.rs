//! Tests of invalid notification settings and of unencrypted credentials, by table.

use super::flags::read;

#[test]
fn invalid_channel_is_one_sentence_without_the_secret() {
    let smtp = "notifications.email.transport=smtp";
    let (host, user, password) = (
        "notifications.email.host=mail.test",
        "notifications.email.username=ana",
        "notifications.email.password=hunter2",
    );
    let sender = "notifications.email.from=service@bank.test";
    let (http, from) = ("notifications.sms.transport=http", "notifications.sms.from=bank");
    let (sms_user, sms_password) = ("notifications.sms.username=ana", "notifications.sms.password=hunter2");
    for (set, sentence) in [
        (
            vec![smtp],
            "notifications.email.host is missing: with transport = \"smtp\" there must be a mail server",
        ),
        (
            vec![smtp, "notifications.email.host=mail.test:25"],
            "notifications.email.host must be a name or an address alone, without a port or a scheme",
        ),
        (
            vec!["notifications.email.port=0"],
            "notifications.email.port must be between 1 and 65535",
        ),
        (
            vec!["notifications.email.from=no-address"],
            "notifications.email.from must be an e-mail address, or a name and one as in Bank <service@bank.test>",
        ),
        (
            vec!["notifications.email.from=a@b.test, c@d.test"],
            "notifications.email.from must be an e-mail address, or a name and one as in Bank <service@bank.test>",
        ),
        (
            vec!["notifications.email.from=Bank <service@localhost>"],
            "notifications.email.from must be an e-mail address, or a name and one as in Bank <service@bank.test>",
        ),
        (
            vec!["notifications.email.hello_name=a b"],
            "notifications.email.hello_name must be a host name",
        ),
        (
            vec![user],
            "notifications.email.password is missing: there is a username",
        ),
        (
            vec![password],
            "notifications.email.username is missing: there is a password",
        ),
        (
            vec![smtp, host],
            "notifications.email.from is missing: with transport = \"smtp\" there must be a sender",
        ),
        (
            vec![
                smtp,
                host,
                sender,
                user,
                password,
                "notifications.email.encryption=none",
            ],
            "notifications.email.password would go over the network unencrypted: with encryption = \"none\", \
             credentials are for a mail server on this machine only",
        ),
        (
            vec![http, from],
            "notifications.sms.url is missing: with transport = \"http\" there must be a gateway",
        ),
        (
            vec![http, "notifications.sms.url=https://sms.test"],
            "notifications.sms.from is missing: with transport = \"http\" there must be a sender",
        ),
        (
            vec![http, from, "notifications.sms.url=ftp://ana:hunter2@sms.test"],
            "notifications.sms.url must begin with https:// or http://",
        ),
        (
            vec![http, from, "notifications.sms.url=sms.test/send"],
            "notifications.sms.url must begin with https:// or http://",
        ),
        (
            vec![http, from, "notifications.sms.url=https://ana:hunter2@sms.test"],
            "notifications.sms.url must not hold credentials: username and password are settings of their own",
        ),
        (
            vec![sms_user],
            "notifications.sms.password is missing: there is a username",
        ),
        (
            vec![sms_password],
            "notifications.sms.username is missing: there is a password",
        ),
        (
            vec![
                http,
                from,
                sms_user,
                sms_password,
                "notifications.sms.url=http://sms.test",
            ],
            "notifications.sms.password would go over the network unencrypted: with http://, credentials are for a \
             gateway on this machine only",
        ),
        (
            vec!["notifications.sms.default_region=USA"],
            "notifications.sms.default_region must be a country's two letters, as in US",
        ),
        (
            vec!["notifications.concurrency=0"],
            "notifications.concurrency must be between 1 and 256",
        ),
        (
            vec!["notifications.attempts=0"],
            "notifications.attempts must be between 1 and 1000",
        ),
        (
            vec!["notifications.max_age_hours=9000"],
            "notifications.max_age_hours must be between 1 and 8760",
        ),
        (
            vec!["notifications.poll_seconds=0"],
            "notifications.poll_seconds must be between 1 and 3600",
        ),
        (
            vec!["notifications.backoff_longest_seconds=9"],
            "notifications.backoff_longest_seconds must be between 30 and 86400",
        ),
        (
            vec!["notifications.breaker_longest_pause_seconds=29"],
            "notifications.breaker_longest_pause_seconds must be between 30 and 86400",
        ),
        (
            vec!["notifications.email.timeout_seconds=0"],
            "notifications.email.timeout_seconds must be between 1 and 600",
        ),
        (
            vec!["notifications.sms.timeout_seconds=55"],
            "notifications.lease_seconds must be between 121 and 86400",
        ),
        (
            vec![
                http,
                from,
                "notifications.sms.url=https://sms.test",
                "notifications.sms.fallback.url=https://other.test",
                "notifications.sms.fallback.timeout_seconds=55",
            ],
            "notifications.lease_seconds must be between 121 and 86400",
        ),
    ] {
        assert_eq!(read(&[], &set).expect_err(sentence).to_string(), sentence);
    }
}

#[test]
fn credentials_go_unencrypted_to_this_machine_only() {
    for set in [
        [
            "notifications.email.host=localhost",
            "notifications.email.encryption=none",
        ],
        ["notifications.email.host=::1", "notifications.email.encryption=none"],
        [
            "notifications.email.host=mail.test",
            "notifications.email.encryption=tls",
        ],
        [
            "notifications.sms.url=http://127.0.0.1:1/",
            "notifications.email.host=mail.test",
        ],
        [
            "notifications.sms.url=http://[::1]:1/",
            "notifications.email.host=mail.test",
        ],
        [
            "notifications.sms.url=https://sms.test",
            "notifications.email.host=mail.test",
        ],
    ] {
        let credentials = [
            "email.username=a",
            "email.password=b",
            "sms.username=a",
            "sms.password=b",
        ];
        let credentials = credentials.map(|setting| format!("notifications.{setting}"));
        let all: Vec<&str> = set.into_iter().chain(credentials.iter().map(String::as_str)).collect();
        let config = read(&[], &all).expect("valid");
        let printed = format!("{config:?}\n{}", toml::to_string(&config).expect("serialises"));
        assert_eq!(printed.matches("***").count(), 4, "{printed}");
    }
}

#[test]
fn invalid_fallback_is_one_sentence_without_the_secret() {
    let email = [
        "notifications.email.transport=smtp",
        "notifications.email.host=mail.test",
        "notifications.email.from=service@bank.test",
    ];
    let sms = [
        "notifications.sms.transport=http",
        "notifications.sms.url=https://sms.test/send",
        "notifications.sms.from=bank",
    ];
    let host = "notifications.email.fallback.host=other.test";
    let url = "notifications.sms.fallback.url=https://other.test/send";
    for (first, set, sentence) in [
        (
            &email[..],
            vec!["notifications.email.fallback.from=service@bank.test"],
            "notifications.email.fallback.host is missing: other settings of the fallback are set",
        ),
        (
            &[],
            vec![host],
            "notifications.email.fallback needs notifications.email.transport = \"smtp\" and \
             notifications.email.host: without them, nothing is sent",
        ),
        (
            &email,
            vec!["notifications.email.fallback.host=MAIL.test"],
            "notifications.email.fallback must be another mail server than the first one, or another account there",
        ),
        (
            &email,
            vec!["notifications.email.fallback.host=https://other.test"],
            "notifications.email.fallback.host must be a name or an address alone, without a port or a scheme",
        ),
        (
            &email,
            vec![host, "notifications.email.fallback.from=no-address"],
            "notifications.email.fallback.from must be an e-mail address, or a name and one as in Bank \
             <service@bank.test>",
        ),
        (
            &email,
            vec![host, "notifications.email.fallback.port=0"],
            "notifications.email.fallback.port must be between 1 and 65535",
        ),
        (
            &email,
            vec![host, "notifications.email.fallback.timeout_seconds=601"],
            "notifications.email.fallback.timeout_seconds must be between 1 and 600",
        ),
        (
            &email,
            vec![host, "notifications.email.fallback.hello_name=a b"],
            "notifications.email.fallback.hello_name must be a host name",
        ),
        (
            &email,
            vec![host, "notifications.email.fallback.password=hunter2"],
            "notifications.email.fallback.username is missing: there is a password",
        ),
        (
            &email,
            vec![
                host,
                "notifications.email.fallback.username=ana",
                "notifications.email.fallback.password=hunter2",
                "notifications.email.fallback.encryption=none",
            ],
            "notifications.email.fallback.password would go over the network unencrypted: with encryption = \"none\", \
             credentials are for a mail server on this machine only",
        ),
        (
            &email,
            vec![host, "notifications.email.fallback.transport=smtp"],
            "unknown setting `notifications.email.fallback.transport` in the command line: did you mean \
             `notifications.email.transport`?",
        ),
        (
            &sms,
            vec![url, "notifications.sms.fallback.transport=http"],
            "unknown setting `notifications.sms.fallback.transport` in the command line: did you mean \
             `notifications.sms.transport`?",
        ),
        (
            &sms,
            vec![url, "notifications.sms.fallback.rate_per_minute=60"],
            "unknown setting `notifications.sms.fallback.rate_per_minute` in the command line: did you mean \
             `notifications.sms.rate_per_minute`?",
        ),
        (
            &sms,
            vec![url, "notifications.sms.fallback.usrname=ana"],
            "unknown setting `notifications.sms.fallback.usrname` in the command line: did you mean \
             `notifications.sms.fallback.username`?",
        ),
        (
            &sms,
            vec!["notifications.sms.fallback.from=bank"],
            "notifications.sms.fallback.url is missing: other settings of the fallback are set",
        ),
        (
            &[],
            vec![url],
            "notifications.sms.fallback needs notifications.sms.transport = \"http\" and notifications.sms.url: \
             without them, nothing is sent",
        ),
        (
            &sms,
            vec!["notifications.sms.fallback.url=https://sms.test/send"],
            "notifications.sms.fallback must be another gateway than the first one, or another account there",
        ),
        (
            &sms,
            vec!["notifications.sms.fallback.url=https://ana:hunter2@other.test"],
            "notifications.sms.fallback.url must not hold credentials: username and password are settings of their own",
        ),
        (
            &sms,
            vec![url, "notifications.sms.fallback.username=ana"],
            "notifications.sms.fallback.password is missing: there is a username",
        ),
        (
            &sms,
            vec![url, "notifications.sms.fallback.timeout_seconds=0"],
            "notifications.sms.fallback.timeout_seconds must be between 1 and 600",
        ),
    ] {
        let all: Vec<&str> = first.iter().copied().chain(set).collect();
        assert_eq!(read(&[], &all).expect_err(sentence).to_string(), sentence);
    }
    let mut all: Vec<&str> = email.into_iter().chain(sms).collect();
    // Another account of the same provider is a fallback, too.
    all.extend([
        "notifications.email.fallback.host=mail.test",
        "notifications.email.fallback.username=ana",
        "notifications.email.fallback.password=hunter2",
        "notifications.sms.fallback.url=https://sms.test/send",
        "notifications.sms.fallback.username=ana",
        "notifications.sms.fallback.password=hunter2",
    ]);
    let config = read(&[], &all).expect("valid");
    let printed = format!("{config:?}\n{}", toml::to_string(&config).expect("serialises"));
    assert!(!printed.contains("hunter2"), "{printed}");
    let (email, sms) = (
        config.notifications.email.fallback(),
        config.notifications.sms.fallback(),
    );
    assert_eq!(
        email.map(|provider| provider.from),
        Some("service@bank.test".to_owned())
    );
    assert_eq!(sms.map(|provider| provider.from), Some("bank".to_owned()));
}

#[test]
fn status_callback_is_an_encrypted_address_and_a_secret() {
    for section in ["notifications.sms", "notifications.sms.fallback"] {
        let set = |value: &str| {
            read(
                &[],
                &[
                    "notifications.sms.transport=http",
                    "notifications.sms.url=https://sms.test",
                    "notifications.sms.from=bank",
                    "notifications.sms.fallback.url=https://other.test",
                    &format!("{section}.status_callback_url={value}"),
                ],
            )
        };
        let start = "https://sms:hunter2@bank.test/";
        let long = |length: usize| format!("{start}{}", "a".repeat(length - start.len()));
        for valid in [start, "http://localhost:8080/a?b=c", "http://[::1]/", "", &long(2_048)] {
            let config = set(valid).expect(valid);
            let printed = format!("{config:?}\n{}", toml::to_string(&config).expect("serialises"));
            assert!(
                !printed.contains("hunter2") && !printed.contains("localhost:8080/a"),
                "{printed}"
            );
        }
        let sentence = format!("{section}.status_callback_url must have at most 2048 bytes");
        assert_eq!(set(&long(2_049)).expect_err(&sentence).to_string(), sentence);
        let sentence = format!(
            "{section}.status_callback_url must begin with https://, as in \
             https://bank.test/api/notifications/receipts; http:// is for this machine only"
        );
        for wrong in [
            "http://sms:hunter2@bank.test/",
            "ftp://sms:hunter2@bank.test/",
            "bank.test/hunter2",
            "https://",
            "hunter2",
        ] {
            assert_eq!(set(wrong).expect_err(wrong).to_string(), sentence);
        }
    }
}

#[test]
fn password_of_a_fallback_can_be_in_a_file() {
    let file = super::file("hunter2\n");
    let name = file.path().display().to_string();
    let config = read(
        &[("CLIENTELE_NOTIFICATIONS__SMS__FALLBACK__PASSWORD_FILE", &name)],
        &[
            "notifications.sms.transport=http",
            "notifications.sms.url=https://sms.test",
            "notifications.sms.from=bank",
            "notifications.sms.fallback.url=https://other.test",
            "notifications.sms.fallback.username=ana",
        ],
    )
    .expect("valid");
    assert_eq!(config.notifications.sms.fallback.password.reveal(), "hunter2");
}

#[test]
fn rate_is_between_one_and_a_million() {
    for channel in ["email", "sms"] {
        let key = format!("notifications.{channel}.rate_per_minute");
        for rate in ["1", "1000000"] {
            read(&[], &[&format!("{key}={rate}")]).expect("valid");
        }
        for rate in ["0", "1000001"] {
            let error = read(&[], &[&format!("{key}={rate}")]).expect_err(rate).to_string();
            let range = "between 1 and 1000000; leave it out for no limit";
            assert_eq!(error, format!("{key} must be {range}"));
        }
        for rate in ["-1", "4294967296"] {
            let error = read(&[], &[&format!("{key}={rate}")]).expect_err(rate).to_string();
            let range = "between 1 and 1000000; leave it out for no limit";
            assert_eq!(error, format!("`{key}` in the command line must be {range}"));
        }
        let error = read(&[], &[&format!("{key}=10/s")]).expect_err("no number").to_string();
        assert_eq!(
            error,
            format!("`{key}` in the command line must be a whole number, 0 or more")
        );
    }
}

#[test]
fn invalid_quiet_hours_are_one_sentence() {
    let section = "notifications.sms.quiet_hours";
    for (from, to, zone, reason) in [
        (
            "9 pm",
            "08:00",
            "UTC",
            "from must be a time from 00:00 to 23:59, as in 21:00",
        ),
        (
            "21:00",
            "24:00",
            "UTC",
            "to must be a time from 00:00 to 23:59, as in 21:00",
        ),
        (
            "21:00",
            "08:00",
            "",
            "zone is missing: quiet hours need from, to and zone",
        ),
        (
            "21:00",
            "08:00",
            "Europe/Berln",
            "zone must be a time zone of the IANA database, as in Europe/Berlin: did you mean Europe/Berlin?",
        ),
        (
            "21:00",
            "21:00",
            "UTC",
            "to must be another time than from: remove quiet_hours for none, and set transport = \"log\" to send \
             nothing at all",
        ),
    ] {
        let set = [
            format!("{section}.from={from}"),
            format!("{section}.to={to}"),
            format!("{section}.zone={zone}"),
        ];
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        let error = read(&[], &set).expect_err(reason).to_string();
        assert_eq!(error, format!("{section}.{reason}"));
    }
    let set = [
        "notifications.sms.quiet_hours.from=21:00",
        "notifications.sms.quiet_hours.to=08:00",
        "notifications.sms.quiet_hours.zone=America/Argentina/Buenos_Aires",
    ];
    read(&[], &set).expect("valid");
    let error = read(&[], &["notifications.sms.quiet_hours.until=08:00"]).expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "unknown setting `notifications.sms.quiet_hours.until` in the command line: did you mean \
         `notifications.sms.quiet_hours.to`?"
    );
}
