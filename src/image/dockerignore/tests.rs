use proptest::prelude::*;

use super::*;

fn matcher(patterns: &[&str]) -> Matcher {
    Matcher::parse(&patterns.join("\n"), ".dockerignore").unwrap()
}

/// As a walk asks: from the top down, each level with its parent's result.
fn excluded(patterns: &[&str], path: &str) -> bool {
    let matcher = matcher(patterns);
    let mut above = Above::default();
    let mut verdict = false;
    for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
        (verdict, above) = matcher.excludes(&path[..end], &above);
    }
    verdict
}

/// moby's own vectors (patternmatcher_test.go); paths with a trailing slash or a root, which a walk never asks, left out.
#[test]
fn moby_vectors() {
    let cases: &[(&str, &str, bool)] = &[
        ("**", "file", true),
        ("**/", "file", true),
        ("**", "dir/file", true),
        ("**/", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/dir2/file", true),
        ("**/dir", "dir", true),
        ("**/dir", "dir/file", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir3/file", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**/file", "dir/file", true),
        ("**file", "dir/dir/file", true),
        ("**/file", "dir/dir/file", true),
        ("**/file*", "dir/dir/file", true),
        ("**/file*", "dir/dir/file.txt", true),
        ("**/file*txt", "dir/dir/file.txt", true),
        ("**/file*.txt", "dir/dir/file.txt", true),
        ("**/file*.txt*", "dir/dir/file.txt", true),
        ("**/**/*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("**/**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "a/dir/file.txt", true),
        ("a**/*.txt", "a/dir/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a/*.txt**", "a/file.txt", true),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aae", false),
        ("a[^b-d]e", "aze", true),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc.def", "abcdef", false),
        ("abc.def", "abc.def", true),
        ("abc.def", "abcZdef", false),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abcdef", false),
        ("a\\\\", "a\\", true),
        ("a\\*b", "a*b", true),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/foo/bar", true),
        ("**/foo/bar", "dir/dir2/foo/bar", true),
        ("abc/**", "abc", false),
        ("abc/**", "abc/def", true),
        ("abc/**", "abc/def/ghi", true),
        ("**/.foo", ".foo", true),
        ("**/.foo", "bar.foo", false),
        ("a(b)c/def", "a(b)c/def", true),
        ("a(b)c/def", "a(b)c/xyz", false),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", true),
        ("*", "abc", true),
        ("*c", "abc", true),
        ("a*", "ab/c", true),
        ("a*/b", "abc/b", true),
        ("a*/b", "a/c/b", false),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("ab[c]", "abc", true),
        ("ab[e-g]", "abc", false),
        ("ab[^c]", "abc", false),
        ("ab[^e-g]", "abc", true),
        ("a\\*b", "ab", false),
        ("a?b", "a☺b", true),
        ("a[^a]b", "a☺b", true),
        ("a???b", "a☺b", false),
        ("[a-ζ]*", "α", true),
        ("*[a-ζ]", "A", false),
        ("a?b", "a/b", false),
        ("a*b", "a/b", false),
        ("[\\]a]", "]", true),
        ("[\\-]", "-", true),
        ("[x\\-]", "x", true),
        ("[x\\-]", "z", false),
        ("[\\-x]", "-", true),
        ("[\\-x]", "a", false),
        ("*x", "xxx", true),
        ("\\a", "a", false),
        ("x\\d", "x7", true),
        ("\\.b", ".b", true),
        ("docs/", "docs/README.md", true),
        ("/docs", "docs/README.md", true),
        ("./docs", "docs", true),
        ("docs/../src", "src/x", true),
    ];
    for (pattern, path, expected) in cases {
        assert_eq!(excluded(&[pattern], path), *expected, "{pattern} on {path}");
    }
}

#[test]
fn moby_vectors_of_several_patterns() {
    let wheel = "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl";
    let cases: &[(&[&str], &str, bool)] = &[
        (&["**", "!util/docker/web"], "util/docker/web/foo", false),
        (&["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", true),
        (&["**", "!dist/*.whl"], wheel, false),
        (&["!fileutils.go", "*.go"], "fileutils.go", true),
        (&["*.go", "!fileutils.go"], "fileutils.go", false),
        (&["docs", "!docs/README.md"], "docs/README.md", false),
        (&["docs/*", "!docs/README.md"], "docs/README.md", false),
        (&["docs", "  ! docs/README.md  "], "docs/README.md", false),
        (&["docs", "!docs/README.md"], "docs/other.md", true),
        (&["*", "!src", "src/*.log"], "src/a.log", true),
        (&["*", "!src", "src/*.log"], "src/a.js", false),
        (&["# a comment", "", "a"], "a", true),
        (&[" # not a comment"], "# not a comment", true),
    ];
    for (patterns, path, expected) in cases {
        assert_eq!(excluded(patterns, path), *expected, "{patterns:?} on {path}");
    }
}

#[test]
fn malformed_patterns_name_their_line() {
    for bad in ["[", "[^", "[^bc", "a[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "\\", "!", "! "] {
        let error = Matcher::parse(&format!("fine\n{bad}"), "x/.dockerignore").unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.message.starts_with("x/.dockerignore:2:1: "), "{bad}: {}", error.message);
    }
}

#[test]
fn only_directories_that_an_exception_can_reach_are_entered() {
    let literal = matcher(&["*", "!src/lib", "!docs/**"]);
    assert!(literal.may_except_beneath("src"));
    assert!(literal.may_except_beneath("src/lib"));
    assert!(literal.may_except_beneath("docs"));
    assert!(!literal.may_except_beneath("node_modules"));
    assert!(!literal.may_except_beneath("sr"));
    assert!(matcher(&["*", "!**/keep"]).may_except_beneath("anything"));
    assert!(!matcher(&["*"]).may_except_beneath("anything"));
}

proptest! {
    /// A pattern without special characters excludes itself and what is beneath it, and nothing else.
    #[test]
    fn literals(pattern in "[a-c]{1,2}(/[a-c]{1,2}){0,2}", path in "[a-c]{1,2}(/[a-c]{1,2}){0,3}") {
        let beneath = path == pattern || path.starts_with(&format!("{pattern}/"));
        prop_assert_eq!(excluded(&[&pattern], &path), beneath);
        let exception = format!("!{pattern}");
        prop_assert_eq!(excluded(&["**", &exception], &path), !beneath);
        prop_assert!(excluded(&[&pattern, &exception, "**"], &path), "the last pattern decides");
    }

    /// Leaving a directory out early never changes what a full walk would find.
    #[test]
    fn pruning_is_only_an_optimisation(
        patterns in prop::collection::vec("!?([ab*]|\\*\\*|[ab]\\?)(/([ab]|\\*|\\*\\*)){0,2}", 1..5),
        path in "[ab](/[ab]){1,3}",
    ) {
        // BuildKit takes `!a/*/**` for `!a`, and leaves out what is deeper down; so do we.
        prop_assume!(!patterns.iter().any(|pattern| pattern.ends_with("/*/**")));
        let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let matcher = matcher(&texts);
        let mut above = Above::default();
        let mut pruned = false;
        let mut verdict = false;
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            (verdict, above) = matcher.excludes(&path[..end], &above);
            pruned |= end < path.len() && verdict && !matcher.may_except_beneath(&path[..end]);
        }
        prop_assert!(!pruned || verdict, "{:?} prunes above {}, which is wanted", texts, path);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}", path in "\\PC{1,20}") {
        if let Ok(matcher) = Matcher::parse(&text, ".dockerignore") {
            matcher.excludes(&path, &Above::default());
        }
    }
}
