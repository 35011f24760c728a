//! The page of a load run in a real browser. Without one the tests say so and end; `tests/page/chromium` installs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells what it measured"
)]

mod browser;
mod document;

use std::path::{Path, PathBuf};

use browser::Browser;
use serde_json::Value;

/// Asks the page, once it is drawn, what is to be seen; the answer stands in the document that the browser prints.
const PROBE: &str = include_str!("probe.js");

struct Page {
    folder: tempfile::TempDir,
    html: String,
}

impl Page {
    /// As the unmodified binary makes it from a document.
    fn of(document: &Value) -> Page {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.json");
        std::fs::write(&file, document.to_string()).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_stackctl"))
            .args(["load-view", file.to_str().unwrap(), "--page"])
            .env("HOME", folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Page { html: String::from_utf8(output.stdout).unwrap(), folder }
    }

    fn write(&self, name: &str, html: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, html).unwrap();
        path
    }

    /// What the probe saw in a window so wide.
    fn probe(&self, browser: &Browser, width: u32) -> Value {
        let html = self.html.replace("</body>", &format!("<script>{PROBE}</script></body>"));
        let dom = browser.dom(&self.write("probe.html", &html), width);
        let answer = dom.split_once("<pre id=\"probe\">").expect("the probe ran").1.split_once("</pre>").unwrap().0;
        let answer = answer.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        serde_json::from_str(&answer).unwrap()
    }
}

#[test]
fn the_charts_are_drawn() {
    let Some(browser) = Browser::find() else { return };
    let document = document::hello();
    let page = Page::of(&document);
    assert!(page.html.len() < 500_000, "{}", page.html.len());
    for width in [1200, 500] {
        let seen = page.probe(&browser, width);
        assert_eq!(seen["errors"], serde_json::json!([]), "{seen:#}");
        // Not even an icon.
        assert_eq!(seen["loaded"], 0, "{seen:#}");
        let series = seen["series"].as_object().unwrap();
        for name in ["answers", "errors", "p50", "p90", "p99", "ready", "desired", "metric", "target"] {
            let line = &series[name];
            assert!(line["width"].as_f64().unwrap() > 300.0 && line["stroke"] != "none", "{name} at {width}: {line}");
        }
        for name in ["answers", "p50", "p90", "p99"] {
            assert_eq!(series[name]["points"], 300, "{name}");
        }
        for name in ["errors", "p50", "p90", "p99", "ready", "metric"] {
            assert!(series[name]["height"].as_f64().unwrap() > 1.0, "{name} is flat");
        }
        // One time axis: what happens in the same second is drawn at the same place.
        assert_eq!(series["answers"]["left"], series["p99"]["left"]);
        assert_eq!(series["answers"]["width"], series["p50"]["width"]);
        assert_eq!(series["ready"]["left"], series["metric"]["left"]);
        assert_eq!(seen["bars"], document["distribution"].as_array().unwrap().len());
        assert_eq!(seen["rows"], 301, "the table has each second and a head");
        assert_eq!(seen["overflow"], false, "the page is wider than the window of {width}");
    }
}

#[test]
fn the_pointer_and_the_keys_show_values_of_the_document() {
    let Some(browser) = Browser::find() else { return };
    let document = document::hello();
    let seen = Page::of(&document).probe(&browser, 1200);
    let second = &document["seconds"][100];
    let p50 = second["latency"]["p50"].as_f64().unwrap();
    for way in ["pointer", "keys"] {
        let tip = seen[way].as_str().unwrap();
        assert!(tip.contains("100 s") && tip.contains("5 of 5"), "{way}: {tip}");
        assert!(tip.contains(&format!("answers{}/s", second["succeeded"])), "{way}: {tip}");
        assert!(tip.contains(&format!("p50{p50:.1} ms")), "{way}: {tip}, not {p50}");
    }
}

#[test]
fn the_picture_is_not_blank() {
    let Some(browser) = Browser::find() else { return };
    let page = Page::of(&document::hello());
    let size = |name: &str, style: &str| {
        let html = page.html.replace("</head>", &format!("<style>{style}</style></head>"));
        let picture = page.folder.path().join(name).with_extension("png");
        browser.picture(&page.write(name, &html), &picture, 1200);
        std::fs::metadata(picture).unwrap().len()
    };
    let (whole, without) = (size("whole.html", ""), size("without.html", "svg * { visibility: hidden !important }"));
    eprintln!("the picture has {whole} bytes, {without} without the charts");
    assert!(whole > without + 20_000, "{whole} and {without} bytes");
}

#[test]
fn a_hostile_document_runs_nothing() {
    let Some(browser) = Browser::find() else { return };
    let evil = "</script><script>document.title = 'broken'</script><img src=x onerror=\"document.title = 'broken'\">";
    let mut document = document::hello();
    for field in ["stack", "cluster", "profile"] {
        document[field] = evil.into();
    }
    document["parameters"]["url"] = evil.into();
    document["parameters"]["paths"] = serde_json::json!([evil]);
    document["totals"]["errors"] = serde_json::json!({ evil: 5 });
    document["images"] = serde_json::json!({ evil: evil });
    for sample in document["clusterSamples"].as_array_mut().unwrap() {
        sample["workload"] = evil.into();
        sample["metric"] = evil.into();
    }
    let seen = Page::of(&document).probe(&browser, 1200);
    assert!(seen["title"].as_str().unwrap().starts_with("Load on </script>"), "{seen:#}");
    assert_eq!((&seen["errors"], &seen["images"]), (&serde_json::json!([]), &serde_json::json!(0)));
    assert!(seen["pointer"].as_str().unwrap().contains("<img src=x"), "{seen:#}");
}

/// Waits for a child until its deadline, then ends it.
fn ended(child: &mut std::process::Child, deadline: std::time::Duration, what: &Path) -> std::process::ExitStatus {
    let started = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the browser did not end within {deadline:?} for {}", what.display());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
