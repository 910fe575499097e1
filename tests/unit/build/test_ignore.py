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
        ("+x(y)|z", "+x(y)|z", True), ("", "a", False), (".", "a", False),
    ],
)  # fmt: skip
def test_rules(rules: str, path: str, expected: bool) -> None:
    assert IgnoreRules(rules).excludes(path) is expected


def test_a_directory_with_exceptions_is_not_pruned() -> None:
    assert IgnoreRules("docs").prunes("docs")
    assert not IgnoreRules("docs\n!docs/a").prunes("docs")


@pytest.mark.parametrize("text", ["[", "!", "a\n! \n"])
def test_malformed(text: str) -> None:
    with pytest.raises(IgnoreError):
        IgnoreRules(text)
