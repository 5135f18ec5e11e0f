//! Settings of the log, and of the export to an OpenTelemetry collector. `config/check` refuses invalid values.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING},
};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use clientele_core::{network::is_this_machine, secret::Secret};

/// The most headers of an export.
const MOST_HEADERS: usize = 16;
/// The most bytes of an address or a name.
const LONGEST_ADDRESS: usize = 2_048;
const LONGEST_NAME: usize = 255;

/// The settings of the log on standard error.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Lines for people, or one JSON object per line for machines.
    pub format: LogFormat,
    /// The lowest level, or levels by module: `info`, `warn,clientele=debug,http_server=info`. Below a warning, only
    /// the crates of this program are logged.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// Settings of the export.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// The base address of the collector's OTLP receiver for HTTP. Empty: nothing is exported.
    pub otlp_endpoint: String,
    /// Headers of an export, as `name=value,name=value`, with `%` escapes in values.
    pub otlp_headers: Secret,
    pub traces: bool,
    pub logs: bool,
    pub service_name: String,
    /// The part of the traces that start here which is recorded, from 0 to 1.
    pub sampling_ratio: f64,
    /// The time limit of one export.
    pub timeout_seconds: u64,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            otlp_headers: Secret::default(),
            traces: true,
            logs: true,
            service_name: "clientele".to_owned(),
            sampling_ratio: 1.0,
            timeout_seconds: 5,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".into(),
        }
    }
}

impl TelemetrySettings {
    pub fn is_on(&self) -> bool {
        !self.otlp_endpoint.is_empty()
    }

    /// # Errors
    /// A sentence about an invalid setting. Never repeats an address or a header: both can hold a secret.
    pub fn check(&self) -> Result<(), &'static str> {
        let headers = self.headers()?;
        if !self.service_name.chars().all(|letter| !letter.is_control())
            || !(1..=LONGEST_NAME).contains(&self.service_name.len())
        {
            return Err("telemetry.service_name must be a text of 1 to 255 bytes on one line");
        }
        if !(0.0..=1.0).contains(&self.sampling_ratio) {
            return Err("telemetry.sampling_ratio must be between 0 and 1, as in 0.01 for one trace of a hundred");
        }
        if !self.is_on() {
            return Ok(());
        }
        let url = self.url("")?;
        if !self.traces && !self.logs {
            return Err(
                "telemetry.traces and telemetry.logs are both false: set one to true, or leave \
                 telemetry.otlp_endpoint empty",
            );
        }
        if url.scheme() != "https" && !headers.is_empty() && !is_this_machine(url.host_str().unwrap_or_default()) {
            return Err(
                "telemetry.otlp_headers would go over the network unencrypted: with http://, headers are for a \
                 collector on this machine only",
            );
        }
        Ok(())
    }

    /// The address of a signal: `v1/traces` or `v1/logs` below the endpoint.
    ///
    /// # Errors
    /// As for [`Self::check`].
    pub(super) fn url(&self, path: &str) -> Result<Url, &'static str> {
        if self.otlp_endpoint.len() > LONGEST_ADDRESS {
            return Err("telemetry.otlp_endpoint must have at most 2048 bytes");
        }
        let url = Url::parse(&self.otlp_endpoint).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(mut url) = url else {
            return Err("telemetry.otlp_endpoint must begin with https:// or http://, as in http://localhost:4318");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("telemetry.otlp_endpoint must not hold credentials: put them into telemetry.otlp_headers");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("telemetry.otlp_endpoint must end with its path, without ? and #");
        }
        let base = url.path().trim_end_matches('/').to_owned();
        if base.ends_with("/v1/traces") || base.ends_with("/v1/logs") {
            return Err("telemetry.otlp_endpoint must be the address without /v1/traces or /v1/logs");
        }
        url.set_path(&format!("{base}/{path}"));
        Ok(url)
    }

    /// # Errors
    /// As for [`Self::check`].
    pub(super) fn headers(&self) -> Result<HeaderMap, &'static str> {
        let form = "telemetry.otlp_headers must be headers as in name=value,name=value, with values in % escapes where \
             they have a comma, a percent sign or other characters than ASCII";
        let mut headers = HeaderMap::new();
        for header in self
            .otlp_headers
            .reveal()
            .split(',')
            .filter(|header| !header.trim().is_empty())
        {
            let (name, value) = header.split_once('=').ok_or(form)?;
            let name: HeaderName = name.trim().parse().map_err(|_| form)?;
            let value: Vec<u8> = percent_decode_str(value.trim()).collect();
            let mut value = HeaderValue::from_bytes(&value).map_err(|_| form)?;
            value.set_sensitive(true);
            if [
                CONNECTION,
                CONTENT_ENCODING,
                CONTENT_LENGTH,
                CONTENT_TYPE,
                HOST,
                TRANSFER_ENCODING,
            ]
            .contains(&name)
            {
                return Err(
                    "telemetry.otlp_headers must not hold a header that describes the request itself, such as \
                     Content-Type or Host",
                );
            }
            if headers.insert(name, value).is_some() {
                return Err("telemetry.otlp_headers must not hold a header twice");
            }
        }
        match headers.len() <= MOST_HEADERS {
            true => Ok(headers),
            false => Err("telemetry.otlp_headers must hold at most 16 headers"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_ADDRESS, LONGEST_NAME, MOST_HEADERS, TelemetrySettings};
    use clientele_core::secret::Secret;

    fn at(endpoint: &str) -> TelemetrySettings {
        TelemetrySettings {
            otlp_endpoint: endpoint.to_owned(),
            ..TelemetrySettings::default()
        }
    }

    #[test]
    fn signals_are_below_the_endpoint() {
        for (endpoint, url) in [
            ("http://localhost:4318", "http://localhost:4318/v1/logs"),
            ("http://collector:4318/", "http://collector:4318/v1/logs"),
            ("https://otlp.bank.test/a/b/", "https://otlp.bank.test/a/b/v1/logs"),
        ] {
            let settings = at(endpoint);
            assert_eq!(settings.check(), Ok(()), "{endpoint}");
            assert_eq!(settings.url("v1/logs").expect(endpoint).as_str(), url);
        }
    }

    #[test]
    fn headers_are_parsed_with_escapes() {
        let given = "api-key = a=b%2Cc , X-Scope-OrgID=ba%6Ek,,";
        let settings = TelemetrySettings {
            otlp_headers: Secret::new(given),
            ..at("https://otlp.bank.test")
        };
        assert_eq!(settings.check(), Ok(()));
        let headers = settings.headers().expect(given);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["api-key"], "a=b,c");
        assert_eq!(headers["x-scope-orgid"], "bank");
        assert!(
            !format!("{headers:?} {settings:?}").contains("a=b"),
            "{headers:?} {settings:?}"
        );
    }

    #[test]
    fn lengths_and_numbers_are_limited() {
        let headers = |count: usize| {
            let headers: Vec<String> = (0..count).map(|at| format!("h{at}=x")).collect();
            TelemetrySettings {
                otlp_headers: Secret::new(headers.join(",")),
                ..at("https://otlp.bank.test")
            }
        };
        assert_eq!(headers(MOST_HEADERS).check(), Ok(()));
        let sentence = "telemetry.otlp_headers must hold at most 16 headers";
        assert_eq!(headers(MOST_HEADERS + 1).check(), Err(sentence));

        let start = "http://localhost/";
        let address = |length: usize| at(&format!("{start}{}", "a".repeat(length - start.len())));
        assert_eq!(address(LONGEST_ADDRESS).check(), Ok(()));
        let sentence = "telemetry.otlp_endpoint must have at most 2048 bytes";
        assert_eq!(address(LONGEST_ADDRESS + 1).check(), Err(sentence));

        let named = |service_name: String| TelemetrySettings {
            service_name,
            ..TelemetrySettings::default()
        };
        assert_eq!(named("a".repeat(LONGEST_NAME)).check(), Ok(()));
        let sentence = "telemetry.service_name must be a text of 1 to 255 bytes on one line";
        for wrong in ["a".repeat(LONGEST_NAME + 1), String::new(), "a\nb".to_owned()] {
            assert_eq!(named(wrong).check(), Err(sentence));
        }

        let sampled = |sampling_ratio| TelemetrySettings {
            sampling_ratio,
            ..TelemetrySettings::default()
        };
        for ratio in [0.0, 0.01, 1.0] {
            assert_eq!(sampled(ratio).check(), Ok(()));
        }
        let sentence = "telemetry.sampling_ratio must be between 0 and 1, as in 0.01 for one trace of a hundred";
        for ratio in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(sampled(ratio).check(), Err(sentence), "{ratio}");
        }
    }
}
