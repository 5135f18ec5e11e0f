//! Lists the playground's files for embedding, if they have been built (`npm run build` in `playground/`).

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // The folder always exists because of its .gitignore: cargo would rebuild every time for a missing path.
    let dist = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("playground/dist");
    println!("cargo::rerun-if-changed=playground/dist");
    println!("cargo::rerun-if-changed=build.rs");

    let mut list = String::from("&[");
    if dist.join("index.html").is_file() {
        for entry in fs::read_dir(&dist)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name != ".gitignore" {
                let _ = write!(
                    list,
                    "({name:?}, include_bytes!({:?}) as &[u8]),",
                    path.display().to_string()
                );
            }
        }
    }
    list.push(']');
    fs::write(
        Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("playground_files.rs"),
        list,
    )
}
