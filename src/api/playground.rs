//! Serves `/playground`, a GraphQL editor that uses `/graphql` of this server, and the documentation.
//!
//! Its files are part of the program if `playground/dist` was built before the program was compiled, or come from a
//! folder. Without them, the page says what to do.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    extract::{self, Request},
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::unmatched::unknown_path;

/// Names and contents of the built files. Empty when they weren't built.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/playground_files.rs"));
/// Served at `/playground` only.
const PAGE: &str = "index.html";
const NOT_BUILT: &str = include_str!("../../playground/page/not-built.html");
/// The folder of a checkout, for a program that was compiled before it was built.
const BUILT: &str = "playground/dist";
/// More than twice those of the built folder. A folder beyond these limits is another one.
const MOST_FILES: usize = 100;
const MOST_BYTES: u64 = 16 << 20;

/// The editor writes style attributes, and its style sheet holds fonts and images as data. Nothing else is allowed.
const POLICY: &str = "default-src 'none'; connect-src 'self'; font-src data:; img-src 'self' data:; script-src 'self'; \
                      style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The settings of the page.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlaygroundSettings {
    /// The folder with the built files. Without it, those in the program are used.
    pub directory: Option<PathBuf>,
}

/// The files of the page, by name.
#[derive(Clone, Debug, Default)]
pub struct Playground(Arc<BTreeMap<String, Bytes>>);

impl Playground {
    /// The files of the configured folder, of the program, or of a checkout in the working directory; otherwise none.
    /// The error is one sentence for the operator.
    pub fn load(settings: &PlaygroundSettings) -> Result<Self, String> {
        if let Some(folder) = &settings.directory {
            return Self::read(folder)
                .map_err(|reason| format!("playground.directory, {}, {reason}", folder.display()));
        }
        if !EMBEDDED.is_empty() {
            let files = EMBEDDED.iter().map(|(name, content)| {
                let content: &'static [u8] = content;
                ((*name).to_owned(), Bytes::from_static(content))
            });
            return Ok(Self(Arc::new(files.collect())));
        }
        let built = Path::new(BUILT);
        match built.join(PAGE).is_file() {
            true => Self::read(built).map_err(|reason| format!("the folder {BUILT} {reason}")),
            false => Ok(Self::default()),
        }
    }

    fn read(folder: &Path) -> Result<Self, String> {
        let unreadable = |error: io::Error| format!("can't be read: {error}");
        let (mut files, mut bytes) = (BTreeMap::new(), 0);
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(name) = name.filter(|name| !name.starts_with('.')) else {
                continue;
            };
            let metadata = fs::metadata(&path).map_err(unreadable)?;
            if !metadata.is_file() {
                continue;
            }
            bytes += metadata.len();
            if files.len() == MOST_FILES || bytes > MOST_BYTES {
                return Err(format!(
                    "has more than {MOST_FILES} files or {MOST_BYTES} bytes: name the folder that `npm run build` in \
                     playground has filled"
                ));
            }
            files.insert(name.to_owned(), Bytes::from(fs::read(&path).map_err(unreadable)?));
        }
        match files.contains_key(PAGE) {
            true => Ok(Self(Arc::new(files))),
            false => Err(format!(
                "has no file {PAGE}: name the folder that `npm run build` in playground has filled"
            )),
        }
    }

    /// Returns true when the page has its editor.
    pub fn is_built(&self) -> bool {
        !self.0.is_empty()
    }

    /// The routes of `/playground`, its files, and the redirect from `/`.
    pub fn routes(self) -> Router {
        let page = self.0.get(PAGE).cloned();
        let page = page.unwrap_or_else(|| Bytes::from_static(NOT_BUILT.as_bytes()));
        let page = get(async move || file(PAGE, page.clone()));
        Router::new()
            .route("/", get(async || Redirect::temporary("/playground")))
            .route("/playground", page.clone())
            .route("/playground/", page)
            .route(
                "/playground/assets/{file}",
                get(async move |name, request| self.asset(name, request).await),
            )
    }

    async fn asset(&self, extract::Path(name): extract::Path<String>, request: Request) -> Response {
        match self.0.get(&name).filter(|_| name != PAGE) {
            Some(content) => file(&name, content.clone()),
            None => unknown_path(request).await,
        }
    }
}

/// Pages change with the program. The names of all other files have a hash of their contents.
fn file(name: &str, content: Bytes) -> Response {
    let (media_type, cache) = match name.rsplit_once('.') {
        Some((_, "html")) => ("text/html; charset=utf-8", "no-cache"),
        Some((_, "js")) => ("text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        Some((_, "css")) => ("text/css; charset=utf-8", "public, max-age=31536000, immutable"),
        _ => ("text/plain; charset=utf-8", "no-cache"),
    };
    let headers = [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, cache),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests;
