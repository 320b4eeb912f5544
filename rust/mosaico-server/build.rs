//! Lists the files of the page, `web/dist`, so that they become part of the program. Without them, the daemon has no
//! page, and says how to get it.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let web = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("../../web");
    let dist = web.join("dist");
    // Cargo looks at a missing path at each build.
    let watched = [&dist, &web].into_iter().find(|folder| folder.is_dir()).map(PathBuf::as_path);
    println!("cargo:rerun-if-changed={}", watched.unwrap_or(Path::new("build.rs")).display());
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        list(&dist, &mut files)?;
    }
    files.sort();
    let mut code =
        format!("static FILES: [File; {}] = [\n", files.iter().filter(|file| is_original(file)).count());
    for file in files.iter().filter(|file| is_original(file)) {
        let path = file.strip_prefix(&dist).map_err(io::Error::other)?;
        let include = |file: &Path| format!("include_bytes!({:?})", file.display().to_string());
        let encoded = |ending: &str| {
            let encoded = PathBuf::from(format!("{}{ending}", file.display()));
            if files.contains(&encoded) { format!("Some({})", include(&encoded)) } else { "None".to_owned() }
        };
        writeln!(
            code,
            "File {{ path: {:?}, content: {}, brotli: {}, gzip: {}, tag: {:?} }},",
            path.display().to_string().replace('\\', "/"),
            include(file),
            encoded(".br"),
            encoded(".gz"),
            format!("\"{:016x}\"", fnv(&fs::read(file)?)),
        )
        .map_err(io::Error::other)?;
    }
    code.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR").map_err(io::Error::other)?).join("page_files.rs"), code)
}

/// Whether a file is not the compressed form of another one.
fn is_original(file: &Path) -> bool {
    !matches!(file.extension().and_then(|extension| extension.to_str()), Some("br" | "gz"))
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// FNV-1a, enough to notice another version.
fn fnv(content: &[u8]) -> u64 {
    content
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
