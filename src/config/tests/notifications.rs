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
