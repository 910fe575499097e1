""".dockerignore by moby's rules (cases after moby/patternmatcher's own tests)."""

from __future__ import annotations

import pytest

from stackup.build.ignore import IgnoreError, IgnoreRules


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ("**", "file", True), ("**", "dir/file", True), ("**/", "file", True), ("**/**", "a/b", True),
        ("dir/**", "dir/file", True), ("dir/**", "dir/a/b", True), ("dir/**", "other", False),
        ("**/dir2/*", "dir/dir2/file", True), ("**/dir2/*", "dir/dir2/a/b", True), ("**file", "file", True),
        ("**/*.txt", "a/b/c.txt", True), ("*.log", "a.log", True), ("*.log", "sub/a.log", False),
        ("a*/*", "abc/d", True), ("?a", "xa", True), ("?a", "a", False), ("[abc]", "b", True), ("[^abc]", "b", False),
        ("[a-c]x", "bx", True), ("foo/", "foo", True), ("foo/", "foo/bar", True), ("/foo", "foo", True),
        ("./foo", "foo", True), ("foo/../bar", "bar", True), (".git", ".git/config", True), (".git", "sub/.git", False),
        ("a.b", "axb", False), ("a\\*b", "a*b", True), ("a\\*b", "axb", False), ("*", "anything/below", True),
        ("*\n!keep", "keep", False), ("*\n!keep", "keep/x", False), ("*\n!keep/x", "keep/x", False),
        ("*\n!keep/x", "keep/y", True), ("!keep\n*", "keep", True), ("docs\n!docs/README.md", "docs/README.md", False),
        ("docs\n!docs/*.md\ndocs/secret.md", "docs/secret.md", True), ("# a\n\n  b  ", "b", True), ("# a", "a", False),
        ("**/dir", "dir/file", True), ("**/dir2/**", "dir/dir2/d/f", True), ("**file", "d/d/file", True),
        ("**/**/*.txt", "file.txt", True), ("**/**/*.txt2", "d/file.txt", False), ("a**/*.txt", "a/d/d/f.txt", True),
        ("a/*.txt", "a/d/f.txt", False), ("a/*.txt**", "a/f.txt", True), ("a[b-d]e", "ace", True),
        ("a[b-d]e", "ae", False), ("a[^b-d]e", "aze", True), (".*", ".foo", True), (".*", "foo", False),
        ("**/.foo", "bar.foo", False), ("abc/**", "abc", False), ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
        ("**\n!util/web", "util/web/foo", False), ("**\n!util/web\nutil/web/foo", "util/web/foo", True),
        ("!f.go\n*.go", "f.go", True), ("docs/*\n!docs/R.md", "docs/R.md", False), ("  !a", "a", False),
        ("a*", "ab/c", True), ("a*/b", "a/c/b", False), ("a*b?c*x", "abxbbxdbxebxczzx", True), ("a?b", "a/b", False),
        ("a[^a]b", "a☺b", True), ("[a-ζ]*", "α", True), ("[\\]a]", "]", True), ("[x\\-]", "-", True),
        ("[\\-x]", "a", False), ("[!a]", "!", True), ("[!a]", "b", False), ("a\\\\", "a\\", True),
        ("+x(y)|z", "+x(y)|z", True), ("", "a", False), (".", "a", False),
        ("a\u2028b", "b", False), ("x\x0cy", "x\x0cy", True), ("a\r\nb\r\n", "a", True),
    ],
)  # fmt: skip
def test_rules(rules: str, path: str, expected: bool) -> None:
    assert IgnoreRules(rules).excludes(path) is expected


def test_a_directory_with_exceptions_is_not_pruned() -> None:
    assert IgnoreRules("docs").prunes("docs")
    assert not IgnoreRules("docs\n!docs/a").prunes("docs")


def test_the_line_that_excludes() -> None:
    rules = IgnoreRules("# all\n*.md\n!README.md\nREADME.*\n", "Dockerfile.dockerignore")
    assert rules.place("README.md") == "Dockerfile.dockerignore:4"
    assert rules.place("a.md") == "Dockerfile.dockerignore:2"


@pytest.mark.parametrize("text", ["[", "!", "a\n! \n", "[^", "[^bc", "a[", "\\", "[]a]", "[-]", "[x-]", "[a-b-c]"])
def test_malformed(text: str) -> None:
    with pytest.raises(IgnoreError):
        IgnoreRules(text)
