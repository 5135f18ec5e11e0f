//! Tests of invalid settings of telemetry, by table.

use super::flags::read;

const ENDPOINT: &str = "telemetry.otlp_endpoint=http://localhost:4318";

#[test]
fn invalid_telemetry_is_one_sentence_without_the_secret() {
    let https = "telemetry.otlp_endpoint=https://otlp.bank.test";
    let form = "telemetry.otlp_headers must be headers as in name=value,name=value, with values in % escapes where \
        they have a comma, a percent sign or other characters than ASCII";
    for (set, sentence) in [
        (
            vec!["telemetry.otlp_endpoint=localhost:4318"],
            "telemetry.otlp_endpoint must begin with https:// or http://, as in http://localhost:4318",
        ),
        (
            vec!["telemetry.otlp_endpoint=grpc://localhost:4317"],
            "telemetry.otlp_endpoint must begin with https:// or http://, as in http://localhost:4318",
        ),
        (
            vec!["telemetry.otlp_endpoint=https://ana:hunter2@otlp.bank.test"],
            "telemetry.otlp_endpoint must not hold credentials: put them into telemetry.otlp_headers",
        ),
        (
            vec!["telemetry.otlp_endpoint=https://otlp.bank.test/?key=hunter2"],
            "telemetry.otlp_endpoint must end with its path, without ? and #",
        ),
        (
            vec!["telemetry.otlp_endpoint=http://localhost:4318/v1/traces"],
            "telemetry.otlp_endpoint must be the address without /v1/traces or /v1/logs",
        ),
        (vec![https, "telemetry.otlp_headers=hunter2"], form),
        (vec![https, "telemetry.otlp_headers=api key=hunter2"], form),
        (vec![https, "telemetry.otlp_headers=key=hunter2%0A"], form),
        (
            vec![https, "telemetry.otlp_headers=key=hunter2,Key=hunter2"],
            "telemetry.otlp_headers must not hold a header twice",
        ),
        (
            vec![https, "telemetry.otlp_headers=content-type=hunter2"],
            "telemetry.otlp_headers must not hold a header that describes the request itself, such as Content-Type or \
             Host",
        ),
        (
            vec![
                "telemetry.otlp_endpoint=http://otlp.bank.test",
                "telemetry.otlp_headers=key=hunter2",
            ],
            "telemetry.otlp_headers would go over the network unencrypted: with http://, headers are for a collector \
             on this machine only",
        ),
        (
            vec![ENDPOINT, "telemetry.traces=false", "telemetry.logs=false"],
            "telemetry.traces and telemetry.logs are both false: set one to true, or leave telemetry.otlp_endpoint \
             empty",
        ),
        (
            vec!["telemetry.sampling_ratio=1.01"],
            "telemetry.sampling_ratio must be between 0 and 1, as in 0.01 for one trace of a hundred",
        ),
        (
            vec!["telemetry.sampling_ratio=nan"],
            "telemetry.sampling_ratio must be between 0 and 1, as in 0.01 for one trace of a hundred",
        ),
        (
            vec!["telemetry.sampling_ratio=1%"],
            "`telemetry.sampling_ratio` in the command line must be a number, as in 0.25",
        ),
        (
            vec!["telemetry.timeout_seconds=0"],
            "telemetry.timeout_seconds must be between 1 and 60",
        ),
        (
            vec!["telemetry.timeout_seconds=61"],
            "telemetry.timeout_seconds must be between 1 and 60",
        ),
        (
            vec!["telemetry.timeout_seconds=1.5"],
            "`telemetry.timeout_seconds` in the command line must be a whole number, 0 or more",
        ),
        (
            vec!["telemetry.service_name="],
            "telemetry.service_name must be a text of 1 to 255 bytes on one line",
        ),
        (
            vec!["telemetry.endpoint=http://localhost:4318"],
            "unknown setting `telemetry.endpoint` in the command line; known there: otlp_endpoint, otlp_headers, \
             traces, logs, service_name, sampling_ratio, timeout_seconds",
        ),
    ] {
        let error = read(&[], &set).expect_err(sentence).to_string();
        assert_eq!(error, sentence, "{set:?}");
    }
}

#[test]
fn telemetry_is_read_from_texts() {
    let config = read(
        &[
            ("CLIENTELE_TELEMETRY__OTLP_ENDPOINT", "http://localhost:4318"),
            ("CLIENTELE_TELEMETRY__OTLP_HEADERS", "key=hunter2"),
            ("CLIENTELE_TELEMETRY__SAMPLING_RATIO", "0.25"),
            ("CLIENTELE_TELEMETRY__TIMEOUT_SECONDS", "60"),
        ],
        &["telemetry.service_name=7", "telemetry.logs=false"],
    );
    let telemetry = config.expect("valid").telemetry;
    assert_eq!((telemetry.sampling_ratio, telemetry.timeout_seconds), (0.25, 60));
    assert_eq!(
        (&*telemetry.service_name, telemetry.traces, telemetry.logs),
        ("7", true, false)
    );
    for (ratio, read_as) in [("1", 1.0), ("0", 0.0), ("1.0", 1.0)] {
        let config = read(&[("CLIENTELE_TELEMETRY__SAMPLING_RATIO", ratio)], &[]);
        assert_eq!(config.expect("valid").telemetry.sampling_ratio, read_as);
    }
}
