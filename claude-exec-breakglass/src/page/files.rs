//! The files of the page, and the form in which they are served.

use std::sync::LazyLock;

use super::asset::{Asset, Keep};
use super::join::join;
use super::squeeze::squeeze;

macro_rules! page {
    ($name:literal) => {
        include_str!(concat!("../../page/", $name))
    };
}

macro_rules! modules {
    ($($name:literal)*) => { [$(($name, page!($name))),*] };
}

/// Every module of the page, in no order.
const MODULES: [(&str, &str); 26] = modules![
    "announce.js" "api.js" "approval.js" "blocks.js" "composer.js" "confirm.js" "connection.js" "copy.js"
    "cursor.js" "details.js" "dom.js" "log.js" "main.js" "markdown.js" "power.js" "presets.js" "sessions.js" "sheet.js"
    "sse.js" "store.js" "stream.js" "tabs.js" "text.js" "transcript.js" "verbs.js" "vm.js"
];

/// Everything that is served of the page; its index is at `/`.
pub fn assets() -> &'static [Asset] {
    static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(build);
    &ASSETS
}

fn build() -> Vec<Asset> {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    let lexer = Asset::hashed("marked-lexer", "js", SCRIPT, page!("vendor/marked-lexer.js"));
    let style = Asset::hashed("app", "css", "text/css; charset=utf-8", &styles(page!("app.css")));
    let script = join("main.js", &MODULES).replace("./vendor/marked-lexer.js", lexer.path());
    let script = Asset::hashed("app", "js", SCRIPT, &script);
    let index = page!("index.html")
        .replace("\"app.css\"", &format!("\"{}\"", style.path()))
        .replace("\"main.js\"", &format!("\"{}\"", script.path()));
    let index = Asset::new("/", "text/html; charset=utf-8", index, Keep::Ask);
    let icon = |path: &str, bytes: &'static [u8]| Asset::new(path, "image/png", bytes, Keep::Day);
    let mut assets = vec![
        index,
        style,
        script,
        lexer,
        Asset::new(
            "/manifest.webmanifest",
            "application/manifest+json",
            page!("manifest.webmanifest"),
            Keep::Ask,
        ),
        Asset::new("/icons/icon.svg", "image/svg+xml", page!("icons/icon.svg"), Keep::Day),
        icon("/icons/icon-180.png", include_bytes!("../../page/icons/icon-180.png")),
        icon("/icons/icon-192.png", include_bytes!("../../page/icons/icon-192.png")),
        icon("/icons/icon-512.png", include_bytes!("../../page/icons/icon-512.png")),
    ];
    assets.push(Asset::new("/sw.js", SCRIPT, worker(&assets), Keep::Ask));
    let licence = page!("vendor/marked.LICENSE");
    assets.push(Asset::new("/licences/marked.txt", "text/plain; charset=utf-8", licence, Keep::Day));
    assets
}

/// The service worker, told the files of this build.
fn worker(shell: &[Asset]) -> String {
    let names: Vec<_> = shell.iter().map(|asset| format!("'{}'", asset.path())).collect();
    let build: String = shell.iter().map(Asset::hash).collect();
    let build = super::asset::hash(build.as_bytes());
    squeeze(page!("sw.js"))
        .replace("'development'", &format!("'{build}'"))
        .replace("['/','/app.css']", &format!("[{}]", names.join(", ")))
}

/// A style sheet without comments and idle space.
fn styles(source: &str) -> String {
    let mut text = String::new();
    for (index, piece) in source.split("/*").enumerate() {
        text.push_str(if index == 0 { piece } else { piece.split_once("*/").map_or("", |(_, after)| after) });
    }
    let text: String = text.lines().map(str::trim).collect();
    [(" { ", "{"), ("{ ", "{"), (" {", "{"), (" }", "}"), (";}", "}"), ("; ", ";"), (": ", ":"), (", ", ",")]
        .iter()
        .fold(text, |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the page and its service worker may weigh, compressed: it is loaded over the worst line there is.
    const BUDGET_BYTES: usize = 45 * 1024;

    /// The one whose path begins and ends so.
    fn asset(start: &str, end: &str) -> &'static Asset {
        let fits = |asset: &&Asset| asset.path().starts_with(start) && asset.path().ends_with(end);
        let mut found = assets().iter().filter(fits);
        let (asset, more) = (found.next().unwrap(), found.next());
        assert!(more.is_none() || end == "/", "{start} {end}");
        asset
    }

    fn text(asset: &Asset) -> String {
        String::from_utf8(asset.body().to_vec()).unwrap()
    }

    #[test]
    fn the_page_keeps_to_its_budget() {
        let shell =
            [("/", "/"), ("/app.", ".css"), ("/app.", ".js"), ("/marked-lexer.", ".js"), ("/sw", ".js")];
        let sizes = shell.map(|(start, end)| (start, end, asset(start, end).gzip().len()));
        let total: usize = sizes.iter().map(|(_, _, size)| size).sum();
        assert!(total <= BUDGET_BYTES, "{total} bytes: {sizes:?}");
    }

    #[test]
    fn the_modules_keep_to_the_rules_of_joining() {
        let mut names = BTreeSet::new();
        for (file, source) in MODULES {
            for line in source.lines() {
                if line.starts_with("import ") {
                    assert!(line.starts_with("import { ") && !line.contains(" as "), "{file}: {line}");
                    continue;
                }
                let declared = line.strip_prefix("export ").unwrap_or(line);
                assert!(!declared.starts_with("default") && !declared.starts_with('{'), "{file}: {line}");
                let words = ["async function ", "function ", "const ", "let ", "class "];
                let Some(rest) = words.iter().find_map(|word| declared.strip_prefix(word)) else { continue };
                let end =
                    rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '$');
                let name = &rest[..end.unwrap_or(rest.len())];
                assert!(names.insert(name), "{file}: {name} is declared twice");
            }
        }
        let script = join("main.js", &MODULES);
        assert!(!script.contains("import{") && !script.contains("export "));
        // Nothing is left behind: each module is imported by another.
        for (file, _) in MODULES.iter().filter(|(file, _)| *file != "main.js") {
            assert!(MODULES.iter().any(|(_, source)| source.contains(&format!("from './{file}'"))), "{file}");
        }
    }

    #[test]
    fn every_name_in_the_shell_is_served_and_none_changes_without_its_hash() {
        let worker = text(asset("/sw", ".js"));
        for asset in
            assets().iter().filter(|asset| asset.path() != "/sw.js" && !asset.path().starts_with("/licences"))
        {
            assert!(worker.contains(&format!("'{}'", asset.path())), "{}", asset.path());
        }
        assert!(!worker.contains("development"));
        let index = text(asset("/", "/"));
        let links = index.split(" href=\"").skip(1).chain(index.split(" src=\"").skip(1));
        let links = links.filter_map(|link| link.split('"').next()).filter(|link| !link.starts_with('#'));
        let mut count = 0;
        for link in links {
            let path = format!("/{}", link.trim_start_matches('/'));
            assert!(assets().iter().any(|asset| asset.path() == path), "{link}");
            count += 1;
        }
        assert_eq!(count, 5, "style, script, two icons, manifest");
        for text in ["<script>", "onclick", "style=", "javascript:", "http://", "https://"] {
            assert!(!index.contains(text), "{text}");
        }
    }
}
