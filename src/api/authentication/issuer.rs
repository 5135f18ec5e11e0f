//! Tokens of the configured issuer: verifies issuer, audience, signature and lifetime, and maps claims to rights.

mod keys;
mod published;
mod signature;

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use moka::sync::Cache;
use ring::digest;
use serde_json::{Map, Value};

use self::keys::Keys;
pub(super) use self::published::Fetch;
pub use self::published::PublishedKeys;
use super::JwtSettings;
use clientele_core::scalar::is_key;
use clientele_domain::{
    access::{Account, MOST_PLACES},
    caller::{Limit, Permission, Rights, Sets},
};

const MOST: u64 = 20_000;
/// In bytes: OpenID Connect's limit for a subject.
const LONGEST_SUBJECT: usize = 255;
/// In bytes: the limit for a user's role.
const LONGEST_ROLE: usize = 64;
/// In bytes of base64. The library parses the header as JSON of any depth before it verifies the signature, and
/// unauthenticated callers control it.
const LONGEST_HEADER: usize = 2_048;
const WRONG_SIGNATURE: &str = "its signature is wrong";

/// The result of verifying a token with the known keys.
#[derive(Debug)]
pub(super) enum Checked {
    Valid(Arc<Account>),
    Wrong,
    /// No known key has the token's key id, or fits if it has none.
    UnknownKey {
        id: Option<String>,
    },
}

/// A verified token, with the generation of its keys and its lifetime.
#[derive(Debug)]
struct Valid {
    account: Arc<Account>,
    /// In seconds since 1970, including the leeway.
    from: i64,
    until: i64,
    keys: u64,
}

#[derive(Debug)]
pub(super) struct Issuer {
    settings: JwtSettings,
    algorithms: Vec<Algorithm>,
    keys: Keys,
    /// By the hash of the token.
    valid: Cache<[u8; 32], Arc<Valid>>,
}

impl Issuer {
    /// None without an issuer.
    ///
    /// # Errors
    /// A sentence about an invalid setting.
    pub fn of(settings: &JwtSettings) -> Result<Option<Self>, String> {
        if settings.issuer.is_empty() {
            return Ok(None);
        }
        if settings.audience.is_empty() {
            return Err(
                "authentication.jwt.audience is missing: a token must name this server as its audience".to_owned(),
            );
        }
        if settings.permissions_claim.is_empty() {
            return Err(
                "authentication.jwt.permissions_claim is missing: the claim that lists a token's permissions"
                    .to_owned(),
            );
        }
        let algorithms = settings.algorithms.iter().map(|name| algorithm(name));
        let algorithms: Vec<Algorithm> = algorithms.collect::<Result<_, _>>()?;
        Ok(Some(Self {
            keys: Keys::of(settings, &algorithms)?,
            algorithms,
            settings: settings.clone(),
            valid: Cache::builder().max_capacity(MOST).build(),
        }))
    }

    /// The keys that the issuer publishes. None with a key in the configuration.
    pub fn published_keys(&self) -> Option<&Arc<PublishedKeys>> {
        match &self.keys {
            Keys::Static(_) => None,
            Keys::Published(keys) => Some(keys),
        }
    }

    /// The number of keys that can verify tokens. Published keys are fetched, and not kept.
    ///
    /// # Errors
    /// The reason why they can't be fetched.
    pub async fn usable_keys(&self) -> Result<usize, String> {
        let usable = self.keys.usable(&self.algorithms).await;
        usable.map_err(|error| error.to_string())
    }

    /// Verifies a token with the known keys, unless it was verified before. The reason of a failure is logged.
    pub fn check(&self, token: &str, now: DateTime<Utc>) -> Checked {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        let seconds = now.timestamp();
        if let Some(valid) = self.valid.get(&hash)
            && (valid.from..valid.until).contains(&seconds)
            && self.keys.generation() == Some(valid.keys)
        {
            return Checked::Valid(valid.account.clone());
        }
        let wrong = |reason: &str| {
            tracing::info!(reason, "a token of an issuer was refused");
            Checked::Wrong
        };
        let header = match self.header(token) {
            Ok(header) => header,
            Err(reason) => return wrong(reason),
        };
        let (keys, generation) = self.keys.find(header.kid.as_deref(), header.alg);
        if keys.is_empty() {
            return Checked::UnknownKey { id: header.kid };
        }
        let checked = keys
            .iter()
            .map(|key| self.check_with(token, header.alg, (key, generation), now));
        // At most one of several keys has signed it.
        let its_own = |checked: &Result<Valid, &str>| !matches!(checked, Err(WRONG_SIGNATURE));
        match { checked }.find(its_own).unwrap_or(Err(WRONG_SIGNATURE)) {
            Err(reason) => wrong(reason),
            Ok(valid) => {
                let account = valid.account.clone();
                self.valid.insert(hash, Arc::new(valid));
                Checked::Valid(account)
            }
        }
    }

    fn header(&self, token: &str) -> Result<Header, &'static str> {
        if token.find('.').is_none_or(|length| length > LONGEST_HEADER) {
            return Err("its header is too long");
        }
        let header = decode_header(token).map_err(|_| "its header can't be read, or names an unknown algorithm")?;
        if !self.algorithms.contains(&header.alg) {
            return Err("an algorithm that isn't allowed");
        }
        if header.crit.is_some() {
            return Err("a critical header that isn't known");
        }
        Ok(header)
    }

    fn check_with(
        &self,
        token: &str,
        algorithm: Algorithm,
        (key, keys): (&DecodingKey, u64),
        now: DateTime<Utc>,
    ) -> Result<Valid, &'static str> {
        // The lifetime is checked below, with the clock that everything else uses.
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&[&self.settings.audience]);
        validation.required_spec_claims = ["iss", "aud", "sub"]
            .map(str::to_owned)
            .into_iter()
            .collect::<HashSet<_>>();
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        signature::use_ring();
        let claims = decode::<Map<String, Value>>(token, key, &validation)
            .map_err(reason)?
            .claims;
        // The library also accepts a list of issuers.
        if !claims.get("iss").is_some_and(Value::is_string) {
            return Err("another issuer");
        }
        let leeway = i64::try_from(self.settings.leeway_seconds).unwrap_or_default();
        let until = seconds(&claims, "exp")?
            .ok_or("it has no expiry")?
            .saturating_add(leeway);
        let from = seconds(&claims, "nbf")?.unwrap_or(i64::MIN).saturating_sub(leeway);
        if now.timestamp() >= until {
            return Err("it has expired");
        }
        if now.timestamp() < from {
            return Err("it isn't valid yet");
        }
        Ok(Valid {
            account: Arc::new(self.bearer(&claims)?),
            from,
            until,
            keys,
        })
    }

    fn bearer(&self, claims: &Map<String, Value>) -> Result<Account, &'static str> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let subject = text("sub").filter(|subject| is_plain(subject, LONGEST_SUBJECT));
        let subject = subject.ok_or("no usable subject")?;
        let role = Some(self.settings.role_claim.as_str())
            .filter(|name| !name.is_empty())
            .and_then(text);
        if role.is_some_and(|role| !is_plain(role, LONGEST_ROLE)) {
            return Err("no usable role");
        }
        let limit = |name: &str| match name {
            "" => Ok(Limit::None),
            name => limit(claims.get(name)),
        };
        let rights = Rights {
            branches: limit(&self.settings.branches_claim)?,
            centres: limit(&self.settings.centres_claim)?,
            ..rights(claims.get(&self.settings.permissions_claim))
        };
        Ok(Account::of_issuer(subject, role, rights))
    }
}

/// Returns true when a text can be stored and shown: PostgreSQL refuses NUL, and logs should contain no other control
/// characters.
fn is_plain(text: &str, longest: usize) -> bool {
    !text.is_empty() && text.len() <= longest && !text.contains(char::is_control)
}

/// The rights in a claim: names of permissions and, for custom field sets, `VIEW_SET:` and `EDIT_SET:` with an id or
/// `*`. Unknown entries grant nothing.
fn rights(claim: Option<&Value>) -> Rights {
    let texts = texts(claim);
    let sets = |prefix: &str| {
        let ids: BTreeSet<String> = texts
            .iter()
            .filter_map(|text| text.strip_prefix(prefix))
            .map(str::to_owned)
            .collect();
        if ids.contains("*") { Sets::All } else { Sets::These(ids) }
    };
    Rights {
        permissions: texts.iter().filter_map(|text| Permission::parse(text)).collect(),
        view_sets: sets("VIEW_SET:"),
        edit_sets: sets("EDIT_SET:"),
        ..Rights::all()
    }
}

/// The limit in a claim: keys of branches or centres, or `*` for no limit. Without the claim, no client exists for the
/// bearer, and an entry that isn't a key adds none.
fn limit(claim: Option<&Value>) -> Result<Limit, &'static str> {
    let texts = texts(claim);
    if texts.len() > MOST_PLACES {
        return Err("too many branches or centres");
    }
    Ok(match texts.contains(&"*") {
        true => Limit::None,
        false => {
            let keys = texts.into_iter().filter(|key| is_key(key));
            Limit::To(keys.map(str::to_owned).collect())
        }
    })
}

/// The entries of a claim: a list of texts, or one text separated by spaces.
fn texts(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(text)) => text.split_whitespace().collect(),
        _ => Vec::new(),
    }
}

fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, &'static str> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            let whole = value.as_i64();
            #[expect(clippy::cast_possible_truncation, reason = "a number too large is the largest")]
            let seconds = whole.or_else(|| value.as_f64().map(|seconds| seconds as i64));
            seconds.map(Some).ok_or("a time that isn't a number")
        }
    }
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    name.parse().map_err(|_| {
        "authentication.jwt.algorithms must be some of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, \
         ES256, ES384, EdDSA"
            .to_owned()
    })
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn reason(error: jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => WRONG_SIGNATURE,
        ErrorKind::InvalidIssuer => "another issuer",
        ErrorKind::InvalidAudience => "another audience",
        ErrorKind::MissingRequiredClaim(_) => "a claim is missing",
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => "an algorithm that doesn't fit the key",
        _ => "it can't be read",
    }
}
