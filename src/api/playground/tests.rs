use std::{fs, path::Path};

use axum::{body::Body, http::Request};
use tower::ServiceExt;

use super::{MOST_BYTES, MOST_FILES, Playground, PlaygroundSettings};

fn load(folder: &Path) -> Result<Playground, String> {
    Playground::load(&PlaygroundSettings {
        directory: Some(folder.to_owned()),
    })
}

fn error(folder: &Path) -> String {
    let error = load(folder).expect_err("refused");
    let start = format!("playground.directory, {}, ", folder.display());
    error
        .strip_prefix(&start)
        .expect("the setting and its value")
        .to_owned()
}

fn write(folder: &Path, name: &str, content: &str) {
    fs::write(folder.join(name), content).expect("written");
}

/// The status, the media type, the caching and the body.
async fn answer(playground: &Playground, path: &str) -> (u16, String, String, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = playground.clone().routes().oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map_or("", |value| value.to_str().expect("ASCII")).to_owned()
    };
    let (media_type, cache) = (header("content-type"), header("cache-control"));
    let body = axum::body::to_bytes(response.into_body(), 100_000)
        .await
        .expect("a body");
    (status, media_type, cache, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn files_of_the_folder_are_served_by_their_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in [
        ("index.html", "page"),
        ("docs-a.html", "documentation"),
        ("start-1.js", "script"),
        ("page-1.css", "style"),
        ("licenses.txt", "licences"),
        (".hidden", "not a file of the page"),
    ] {
        write(folder.path(), name, content);
    }
    fs::create_dir(folder.path().join("inner")).expect("created");
    let playground = load(folder.path()).expect("complete");
    assert!(playground.is_built());
    let (html, immutable) = ("text/html; charset=utf-8", "public, max-age=31536000, immutable");
    for (path, media_type, cache, body) in [
        ("/playground", html, "no-cache", "page"),
        ("/playground/", html, "no-cache", "page"),
        ("/playground/assets/docs-a.html", html, "no-cache", "documentation"),
        (
            "/playground/assets/start-1.js",
            "text/javascript; charset=utf-8",
            immutable,
            "script",
        ),
        (
            "/playground/assets/page-1.css",
            "text/css; charset=utf-8",
            immutable,
            "style",
        ),
        (
            "/playground/assets/licenses.txt",
            "text/plain; charset=utf-8",
            "no-cache",
            "licences",
        ),
    ] {
        let expected = (200, media_type.to_owned(), cache.to_owned(), body.to_owned());
        assert_eq!(answer(&playground, path).await, expected, "{path}");
    }
    for path in [
        "index.html",
        ".hidden",
        "inner",
        "..%2Findex.html",
        "%2Fetc%2Fpasswd",
        "x.js",
    ] {
        let path = format!("/playground/assets/{path}");
        assert_eq!(answer(&playground, &path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn page_without_its_files_says_what_to_do() {
    let playground = Playground::default();
    assert!(!playground.is_built());
    let (status, media_type, _, body) = answer(&playground, "/playground").await;
    assert_eq!((status, media_type.as_str()), (200, "text/html; charset=utf-8"));
    for part in [
        "<h1>clientele playground: not built</h1>",
        "npm ci &amp;&amp; npm run build",
        "clientele --set playground.directory=",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    // Nothing is loaded from elsewhere.
    assert!(!body.contains("<script") && !body.contains("<link"), "{body}");
}

#[test]
fn another_folder_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let hint = "name the folder that `npm run build` in playground has filled";
    assert_eq!(error(folder.path()), format!("has no file index.html: {hint}"));
    assert_eq!(
        error(&folder.path().join("nowhere")),
        "can't be read: No such file or directory (os error 2)"
    );
    let too_large = format!("has more than 100 files or 16777216 bytes: {hint}");
    write(folder.path(), "index.html", "page");
    for number in 1..MOST_FILES {
        write(folder.path(), &format!("{number}.js"), "");
    }
    assert!(load(folder.path()).is_ok());
    write(folder.path(), "one-more.js", "");
    assert_eq!(error(folder.path()), too_large);
    fs::remove_file(folder.path().join("one-more.js")).expect("removed");
    let large = fs::File::create(folder.path().join("1.js")).expect("created");
    let left = MOST_BYTES - 4;
    large.set_len(left).expect("sparse");
    assert!(load(folder.path()).is_ok());
    large.set_len(left + 1).expect("sparse");
    assert_eq!(error(folder.path()), too_large);
}
