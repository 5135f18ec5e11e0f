//! Files with secrets, and the TLS certificate.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

use super::{Examined, examine_in};
use crate::harness::{
    peers::Certificate,
    program::{clientele, directory, run},
};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn write(directory: &TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
    path
}

fn exposed(users: &str, file: &Path, mode: &str) -> String {
    let file = file.display();
    format!(
        "WARNING  files: {users} can use {file}, which holds secrets or clients (mode {mode}). Run: chmod go= {file} \
         See docs/operations.md#secret-files"
    )
}

#[test]
fn file_with_secrets_is_only_for_its_owner() {
    let directory = directory();
    let secret = format!("[audit]\nkey = \"{KEY}\"\n");
    let examine = |file: &Path| examine_in(&directory, &["--config", &file.display().to_string()], &[]);
    let private = write(&directory, "private.toml", &secret, 0o600);
    let one = "OK       files: no other user can use the files with secrets or clients (1). See \
        docs/operations.md#secret-files";
    examine(&private).says("files", one);
    let for_all = write(&directory, "all.toml", &secret, 0o644);
    examine(&for_all).says("files", &exposed("every user of this machine", &for_all, "0644"));
    let for_group = write(&directory, "group.toml", &secret, 0o640);
    examine(&for_group).says("files", &exposed("its group", &for_group, "0640"));
    let without = write(&directory, "without.toml", "[log]\nfilter = \"warn\"\n", 0o644);
    let none = "SKIPPED  files: there is no file with secrets or clients. See docs/operations.md#secret-files";
    examine(&without).says("files", none);
    // A database address is a secret with a password only.
    let address = write(
        &directory,
        "address.toml",
        "database_url = \"sqlite:other.db\"\n",
        0o644,
    );
    examine(&address).says("files", none);
    // As packages install it, for the group of the server's user.
    let is_root = fs::metadata(&for_group).is_ok_and(|_| chown(&for_group, Some(0), Some(1)).is_ok());
    if is_root {
        examine(&for_group).says("files", one);
    }
}

#[test]
fn secret_from_a_file_and_key_files_are_checked() {
    let directory = directory();
    let secret = write(&directory, "audit-key", KEY, 0o444);
    let environment = [("CLIENTELE_AUDIT__KEY_FILE", &*secret.display().to_string())];
    let line = exposed("every user of this machine", &secret, "0444");
    examine_in(&directory, &[], &environment).says("files", &line);
    let (certificate, key) = pair(&directory, &Certificate::new());
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("its mode");
    let examined = examine_in(&directory, &tls(&certificate, &key), &[]);
    examined.says("files", &exposed("every user of this machine", &key, "0644"));
}

#[test]
fn database_file_is_checked() {
    let directory = directory();
    let migrated = clientele(&directory, &["migrate"], &[]).output().expect("it starts");
    assert!(migrated.status.success());
    let file = directory.path().join("clientele.db");
    let one = "OK       files: no other user can use the files with secrets or clients (1). See \
        docs/operations.md#secret-files";
    examine_in(&directory, &[], &[]).says("files", one);
    fs::set_permissions(&file, Permissions::from_mode(0o664)).expect("its mode");
    let line = exposed("every user of this machine", Path::new("clientele.db"), "0664");
    examine_in(&directory, &[], &[]).says("files", &line);
}

fn pair(directory: &TempDir, certificate: &Certificate) -> (PathBuf, PathBuf) {
    let key = write(directory, "server.key", certificate.key_pem(), 0o600);
    (write(directory, "server.pem", certificate.pem(), 0o644), key)
}

fn tls(certificate: &Path, key: &Path) -> [&'static str; 2] {
    let setting = |name, file: &Path| &*format!("--set=http.{name}_file={}", file.display()).leak();
    [setting("certificate", certificate), setting("key", key)]
}

fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

fn examine_certificate(from: TimeDelta, until: TimeDelta) -> Examined {
    let directory = directory();
    let (certificate, key) = pair(&directory, &Certificate::valid_between(now() + from, now() + until));
    examine_in(&directory, &tls(&certificate, &key), &[])
}

fn day(from_now: TimeDelta) -> String {
    (now() + from_now).format("%Y-%m-%d 00:00 UTC").to_string()
}

const RENEW: &str =
    "Replace the files by a renewed certificate and its key: a running server loads them. See docs/operations.md#tls";

#[test]
fn certificate_is_checked_for_its_time() {
    let days = TimeDelta::days;
    let examined = examine_certificate(days(-10), days(90));
    let until = day(days(90));
    examined.says(
        "tls",
        &format!(
            "OK       tls: the certificate and its key match, and are valid until {until}. See docs/operations.md#tls"
        ),
    );
    let soon = day(days(29));
    examine_certificate(days(-10), days(29)).says(
        "tls",
        &format!("WARNING  tls: the certificate expires soon: {soon}. {RENEW}"),
    );
    let past = day(days(-1));
    let line = format!("PROBLEM  tls: the certificate has expired: {past}. {RENEW}");
    examine_certificate(days(-10), days(-1)).says("tls", &line);
    let first = day(days(2));
    examine_certificate(days(2), days(90)).says(
        "tls",
        &format!(
            "PROBLEM  tls: the certificate is valid only from {first} on. Check this machine's clock, or use another \
             certificate. See docs/operations.md#tls"
        ),
    );
}

#[test]
fn certificate_and_key_must_match() {
    let directory = directory();
    let (certificate, key) = pair(&directory, &Certificate::new());
    fs::write(&key, Certificate::new().key_pem()).expect("written");
    let to_do = "Set http.certificate_file and http.key_file to a certificate chain and its key in PEM. See \
        docs/operations.md#tls";
    let (shown, shown_key) = (certificate.display(), key.display());
    let line = format!("PROBLEM  tls: the key in {shown_key} can't be used with the certificate in {shown}. {to_do}");
    examine_in(&directory, &tls(&certificate, &key), &[]).says("tls", &line);
    fs::write(&key, "no key").expect("written");
    let line = format!("PROBLEM  tls: {shown_key} holds no private key in PEM. {to_do}");
    examine_in(&directory, &tls(&certificate, &key), &[]).says("tls", &line);
    fs::remove_file(&key).expect("removed");
    let line = format!("PROBLEM  tls: can't read {shown_key}: No such file or directory (os error 2). {to_do}");
    examine_in(&directory, &tls(&certificate, &key), &[]).says("tls", &line);
}

#[test]
fn no_secret_is_printed() {
    let secrets = [
        "pa-ss-1-of-database",
        "pa-ss-2-of-mail-server",
        "pa-ss-3-of-gateway",
        KEY,
    ];
    let environment = [
        ("DATABASE_URL", "postgres://ana:pa-ss-1-of-database@127.0.0.1:1/bank"),
        ("CLIENTELE_AUDIT__KEY", KEY),
        ("CLIENTELE_NOTIFICATIONS__EMAIL__TRANSPORT", "smtp"),
        ("CLIENTELE_NOTIFICATIONS__EMAIL__HOST", "127.0.0.1"),
        ("CLIENTELE_NOTIFICATIONS__EMAIL__PORT", "1"),
        ("CLIENTELE_NOTIFICATIONS__EMAIL__FROM", "service@bank.test"),
        ("CLIENTELE_NOTIFICATIONS__EMAIL__USERNAME", "ana"),
        ("CLIENTELE_NOTIFICATIONS__EMAIL__PASSWORD", "pa-ss-2-of-mail-server"),
        ("CLIENTELE_NOTIFICATIONS__SMS__TRANSPORT", "http"),
        (
            "CLIENTELE_NOTIFICATIONS__SMS__URL",
            "http://127.0.0.1:1/send?token=pa-ss-3-of-gateway",
        ),
        ("CLIENTELE_NOTIFICATIONS__SMS__FROM", "+15550001111"),
    ];
    for arguments in [&["doctor"][..], &["doctor", "--json"]] {
        let (output, log, code) = run(arguments, &environment);
        assert_eq!(code, Some(1));
        for secret in secrets {
            assert!(
                !output.contains(secret) && !log.contains(secret),
                "{secret}\n{output}\n{log}"
            );
        }
        for check in ["database", "email", "sms"] {
            assert!(output.contains(check), "{output}");
        }
    }
}
